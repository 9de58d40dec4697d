#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes schemas.json: strict JSON schemas of the kinds that our manifests use.

  generate.py FOLDER      a folder in which these were installed:
                          npm install kubernetes-models@5.1.0 @kubernetes-models/prometheus-operator@6.0.0

Those packages are made from Kubernetes' published OpenAPI and the Prometheus operator's CRDs; their type
declarations name every field, its type and whether it may be left out. Descriptions stay behind, and what isn't
named is refused, as `kubectl apply --validate=strict` does.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

KINDS = {
    "v1": ("Namespace", "ServiceAccount", "ConfigMap", "Secret", "Service"),
    "apps/v1": ("DaemonSet", "Deployment"),
    "batch/v1": ("Job",),
    "policy/v1": ("PodDisruptionBudget",),
    "rbac.authorization.k8s.io/v1": ("ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"),
    "admissionregistration.k8s.io/v1": ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"),
    "monitoring.coreos.com/v1": ("PodMonitor", "ServiceMonitor", "PrometheusRule"),
}
HERE = Path(__file__).resolve().parent
Schema = dict[str, Any]


class Types:
    """TypeScript's types, as far as these declarations use them, as JSON schema."""

    def __init__(self, text: str, names: dict[str, str]) -> None:
        self._tokens = re.findall(r'"(?:[^"\\]|\\.)*"|[A-Za-z_]\w*|[-\d.]+|[{}\[\]<>|?:;()&,]', text)
        self._at = 0
        self._names = names

    def _peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _take(self, wanted: str = "") -> str:
        token = self._peek()
        if wanted and token != wanted:
            raise SystemExit(f"generate: {wanted!r} expected at {self._tokens[self._at : self._at + 8]}")
        self._at += 1
        return token

    def type(self) -> Schema:
        options = [self._one()]
        while self._peek() == "|":
            self._take()
            options.append(self._one())
        if len(options) == 1:
            return options[0]
        if all(set(option) == {"const"} for option in options):
            return {"enum": [option["const"] for option in options]}
        return {"anyOf": options}

    def _one(self) -> Schema:
        token = self._take()
        if token == "{":
            return self.fields()
        if token == "(":
            inner = self.type()
            self._take(")")
            return inner
        if token == "Array":
            self._take("<")
            inner = self.type()
            self._take(">")
            return {"type": "array", "items": inner}
        if token.startswith('"'):
            return {"const": json.loads(token)}
        plain: dict[str, Schema] = {
            "string": {"type": "string"},
            "number": {"type": "number"},
            "boolean": {"type": "boolean"},
            "null": {"type": "null"},
            "unknown": {},
            "any": {},
        }
        if token in plain:
            return plain[token]
        return {"$ref": "#/definitions/" + self._names[token]}

    def fields(self) -> Schema:
        """The inside of braces, up to and with the closing one."""
        out: Schema = {"type": "object", "properties": {}, "additionalProperties": False}
        wanted = []
        while self._peek() != "}":
            if self._peek() == "[":
                while self._take() != "]":
                    pass
                self._take(":")
                out["additionalProperties"] = self.type()
            else:
                name = json.loads(self._take())
                if self._peek() == "?":
                    self._take()
                else:
                    wanted.append(name)
                self._take(":")
                out["properties"][name] = self.type()
            if self._peek() in (";", ","):
                self._take()
        self._take("}")
        if wanted:
            out["required"] = wanted
        if not out["properties"]:
            del out["properties"]
        return out


class Library:
    def __init__(self, folder: Path) -> None:
        self._modules = folder / "node_modules"
        self.definitions: dict[str, Schema] = {}

    def _file(self, name: str, beside: Path) -> Path:
        if name.startswith("."):
            return (beside.parent / name).resolve().with_suffix(".d.ts")
        return (self._modules / name).with_suffix(".d.ts")

    def add(self, path: Path) -> str:
        """Reads one declaration and what it names; returns the name of its definition."""
        name = str(path.resolve().relative_to(self._modules.resolve())).removesuffix(".d.ts")
        name = name.removeprefix("@kubernetes-models/").replace("/", ".")
        if name in self.definitions:
            return name
        self.definitions[name] = {}
        text = re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.S)
        names = {
            one.strip(): self.add(self._file(module, path))
            for imported, module in re.findall(r'import \{([^}]*)\} from "([^"]+)"', text)
            if "@kubernetes-models/base" not in module
            for one in imported.split(",")
            if one.strip().startswith("I")
        }
        parents: list[Schema] = []
        if found := re.search(r"export interface \w+(?: extends ([\w, ]+))? (\{.*?^\})", text, re.S | re.M):
            types = Types(found[2], names)
            parents = [self.definitions[names[one]] for one in re.findall(r"\w+", found[1] or "") if one in names]
        elif found := re.search(r"export type I\w+ = ([^;]+);", text):
            types = Types(found[1], names)
        else:
            raise SystemExit(f"generate: {path} declares nothing")
        schema = types.type()
        for parent in parents:
            schema["properties"] = parent.get("properties", {}) | schema.get("properties", {})
            schema["required"] = parent.get("required", []) + schema.get("required", [])
        self.definitions[name] = schema
        return name

    def kind(self, version: str, kind: str) -> str:
        package = "@kubernetes-models/prometheus-operator" if "coreos" in version else "kubernetes-models"
        return self.add(self._modules / package / version / f"{kind}.d.ts")


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        print(__doc__.strip(), file=sys.stderr)
        return 2
    library = Library(Path(arguments[0]))
    kinds = {
        f"{version}/{kind}": library.kind(version, kind) for version, names in KINDS.items() for kind in names
    }
    # Short names: the file is long enough.
    short = {name: f"d{number}" for number, name in enumerate(sorted(library.definitions))}
    text = json.dumps({"kinds": kinds, "definitions": library.definitions})
    document = json.loads(
        re.sub(r'#/definitions/([^"]+)', lambda match: "#/definitions/" + short[match[1]], text)
    )
    document["kinds"] = {kind: short[name] for kind, name in kinds.items()}
    document["definitions"] = {short[name]: schema for name, schema in document["definitions"].items()}
    (HERE / "schemas.json").write_text(json.dumps(document, separators=(",", ":"), sort_keys=True) + "\n")
    print(f"{len(kinds)} kinds, {len(short)} definitions")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
