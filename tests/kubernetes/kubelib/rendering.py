# SPDX-License-Identifier: Apache-2.0
"""Everything renders, to objects that the published schemas know, and Helm's are kustomize's."""

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from .manifests import CHART, CONFIG, KUSTOMIZATIONS, NAMESPACE, ROOT, Helm, Key, Object, check, key_of, kustomize

_HELM_LABELS = {
    "helm.sh/chart",
    "app.kubernetes.io/instance",
    "app.kubernetes.io/version",
    "app.kubernetes.io/managed-by",
}
ALL_ON: Object = {
    "token": {"value": "0123456789abcdef0123456789abcdef"},
    "image": {"repository": "r.example/wglan", "tag": "1", "pullPolicy": "Always", "pullSecrets": [{"name": "s"}]},
    "config": {"metrics": {"listen": "[::]:9700"}, "interface": {"listenPort": 51999}},
    "agent": {
        "extraArgs": ["--log-level", "debug"],
        "extraEnv": [{"name": "A", "value": "b"}],
        "podAnnotations": {"a": "b"},
        "nodeSelector": {"n": "1"},
        "affinity": {"nodeAffinity": {}},
        "maxUnavailable": 3,
    },
    "apiServer": {"host": "192.0.2.1", "port": 6443},
    "bpffs": {"mount": True},
    "wireguardGo": {"enabled": True},
    "podMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
    "serviceMonitor": {"enabled": True},
    "prometheusRule": {"enabled": True},
    "discovery": {"enabled": True, "service": {"type": "LoadBalancer", "annotations": {"a": "b"}}},
}


class Schemas:
    def __init__(self) -> None:
        path = ROOT / "tests" / "kubernetes" / "schemas" / "schemas.json"
        self._document: Any = json.loads(path.read_text())

    def judge(self, document: Object, origin: str) -> None:
        kind = f"{document['apiVersion']}/{document['kind']}"
        check(kind in self._document["kinds"], f"{origin}: no schema of {kind}: see schemas/generate.py")
        schema = {
            "$ref": "#/definitions/" + self._document["kinds"][kind],
            "definitions": self._document["definitions"],
        }
        problems = sorted(
            jsonschema.Draft7Validator(schema).iter_errors(document), key=lambda one: list(map(str, one.path))
        )
        text = "\n".join(f"  {'.'.join(map(str, one.path))}: {one.message[:300]}" for one in problems[:5])
        check(not problems, f"{origin}: {key_of(document)}:\n{text}")


def _references(found: dict[Key, Object], origin: str) -> None:
    """What pods name exists: accounts, configurations, volumes, ports of probes."""
    for (kind, namespace, name), document in found.items():
        if kind not in ("DaemonSet", "Deployment", "Job"):
            continue
        where = f"{origin}: {kind} {name}"
        pod = document["spec"]["template"]["spec"]
        if account := pod.get("serviceAccountName"):
            check(("ServiceAccount", namespace, account) in found, f"{where}: no ServiceAccount {account}")
        volumes = {volume["name"]: volume for volume in pod.get("volumes", [])}
        for volume in volumes.values():
            if config := volume.get("configMap"):
                check(("ConfigMap", namespace, config["name"]) in found, f"{where}: no ConfigMap {config['name']}")
        used = set()
        for one in [*pod.get("initContainers", []), *pod["containers"]]:
            for mount in one.get("volumeMounts", []):
                check(mount["name"] in volumes, f"{where}: {one['name']} mounts {mount['name']}, which isn't there")
                used.add(mount["name"])
            ports = {port["name"] for port in one.get("ports", [])}
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                port = one.get(probe, {}).get("httpGet", {}).get("port")
                check(port is None or port in ports, f"{where}: {probe} asks port {port}, which isn't there")
        check(used == set(volumes), f"{where}: nobody mounts {set(volumes) - used}")
        if kind != "Job":
            labels = document["spec"]["template"]["metadata"]["labels"]
            wanted = document["spec"]["selector"]["matchLabels"]
            check(wanted.items() <= labels.items(), f"{where}: the selector doesn't match")
    for (kind, namespace, name), document in found.items():
        if kind in ("RoleBinding", "ClusterRoleBinding"):
            role = document["roleRef"]
            place = namespace if role["kind"] == "Role" else ""
            check((role["kind"], place, role["name"]) in found, f"{origin}: {kind} {name}: no {role}")
            for subject in document["subjects"]:
                account = ("ServiceAccount", subject["namespace"], subject["name"])
                check(account in found, f"{origin}: {kind} {name}: no {subject}")


def _plain(document: Object) -> Object:
    """Without what Helm adds, and with texts of YAML as what they say."""
    out = copy.deepcopy(document)
    metadata = out["metadata"]
    for label in _HELM_LABELS:
        metadata.get("labels", {}).pop(label, None)
    if not metadata.get("annotations", True):
        del metadata["annotations"]  # kubectl 1.20 leaves an empty one
    if out["kind"] == "ConfigMap" and "agent.yaml" in out["data"]:
        out["data"]["agent.yaml"] = yaml.safe_load(out["data"]["agent.yaml"])
    if out["kind"] == "ValidatingAdmissionPolicy":
        for one in [*out["spec"]["variables"], *out["spec"]["validations"]]:
            one["expression"] = " ".join(one["expression"].split())
    return out


def compare(ours: dict[Key, Object], helms: dict[Key, Object], origin: str) -> None:
    hooks = {key for key, one in helms.items() if "helm.sh/hook" in one["metadata"].get("annotations", {})}
    # Helm makes namespaces by itself.
    ours = {key: _plain(one) for key, one in ours.items() if key[0] != "Namespace"}
    helms = {key: _plain(one) for key, one in helms.items() if key not in hooks}
    check(ours.keys() == helms.keys(), f"{origin}: kustomize and Helm differ by {ours.keys() ^ helms.keys()}")
    for key, one in ours.items():
        check(one == helms[key], f"{origin}: {key} differs:\n{_difference(one, helms[key])}")


def _difference(one: Any, other: Any, path: str = "") -> str:
    if isinstance(one, dict) and isinstance(other, dict):
        for name in sorted(one.keys() | other.keys()):
            if one.get(name) != other.get(name):
                return _difference(one.get(name), other.get(name), f"{path}.{name}")
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for number, (a, b) in enumerate(zip(one, other, strict=True)):
            if a != b:
                return _difference(a, b, f"{path}[{number}]")
    return f"  {path}\n  kustomize: {one}\n  helm:      {other}"


def kustomizations() -> str:
    schemas = Schemas()
    count = 0
    for name in KUSTOMIZATIONS:
        found = kustomize(name)
        check(found, f"{name} renders to nothing")
        for one in found.values():
            schemas.judge(one, name)
        if name not in ("monitoring",):
            _references(found, name)
        count += len(found)
    for name in ("monitoring/service-monitor.yaml", "token-secret.example.yaml"):
        for one in yaml.safe_load_all((CONFIG / name).read_text()):
            schemas.judge(one, name)
            count += 1
    # A schema that takes everything would prove nothing.
    broken = kustomize("base")["DaemonSet", NAMESPACE, "wglan-agent"]
    broken["spec"]["template"]["spec"]["hostNetwrk"] = True
    try:
        schemas.judge(broken, "broken")
    except Exception as error:
        check("hostNetwrk" in str(error), f"an unknown field is refused with {error}")
    else:
        check(False, "an unknown field is accepted")
    return f"{len(KUSTOMIZATIONS)} kustomizations, {count} objects, all as the schemas have them"


def chart(build: Path) -> str:
    helm, schemas = Helm(build), Schemas()
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    wanted = jsonschema.Draft7Validator(json.loads((CHART / "values.schema.json").read_text()))
    for one in (values, ALL_ON):
        check(not list(wanted.iter_errors(one)), f"values.schema.json refuses {one}")
    for bad in ({"agnt": {}}, {"token": {"value": "short"}}, {"podMonitor": {"enabled": "yes"}}):
        check(list(wanted.iter_errors(bad)), f"values.schema.json accepts {bad}")
    plain, everything = helm.render(), helm.render(ALL_ON)
    for found in (plain, everything):
        for one in found.values():
            schemas.judge(one, helm.name)
        _references(found, helm.name)
    compare(kustomize("base"), plain, "base")
    for name, more in _OVERLAYS.items():
        ours = kustomize(f"overlays/{name}") if name != "discovery" else kustomize("base") | kustomize(name)
        compare(ours, helm.render(more), name)
    agent = everything["DaemonSet", NAMESPACE, "wglan-agent"]["spec"]["template"]["spec"]["containers"][0]
    check(agent["ports"][0]["hostPort"] == 9700 and agent["ports"][1]["hostPort"] == 51999, str(agent["ports"]))
    check(agent["image"] == "r.example/wglan:1", agent["image"])
    nothing = {name: {"enabled": False} for name in ("admissionPolicy", "uninstall")}
    off = helm.render({**nothing, "rbac": {"status": False}})
    check(len(off) == len(plain) - 4 - 2 - 5, f"switched off, {len(off)} of {len(plain)} objects are left")
    config = helm.render({"config": {"discovery": {"kubernetes": {"enabled": False}}}})
    text = config["ConfigMap", NAMESPACE, "wglan-agent"]["data"]["agent.yaml"]
    check(yaml.safe_load(text)["discovery"]["kubernetes"]["enabled"] is False, f"false is lost:\n{text}")
    check("metrics.listen" in helm.refusal({"podMonitor": {"enabled": True}}), "a PodMonitor of nothing is accepted")
    check("apiServer.port" in helm.refusal({"apiServer": {"host": "192.0.2.1"}}), "a host without a port is accepted")
    return f"{helm.name}: {len(everything)} objects with everything on; the same as kustomize's"


def _config(name: str) -> Object:
    out = yaml.safe_load((CONFIG / "overlays" / name / "agent.yaml").read_text())
    del out["cluster"], out["discovery"]
    return out


_OVERLAYS: dict[str, Object] = {
    "encrypt-all": {"config": _config("encrypt-all")},
    "backup-only": {"config": _config("backup-only")},
    "mount-bpffs": {"bpffs": {"mount": True}},
    "userspace-wireguard": {"wireguardGo": {"enabled": True}},
    "monitoring": {
        "config": _config("monitoring"),
        "podMonitor": {"enabled": True},
        "prometheusRule": {"enabled": True},
    },
    "discovery": {"discovery": {"enabled": True}},
}
