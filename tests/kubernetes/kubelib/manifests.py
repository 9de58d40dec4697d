# SPDX-License-Identifier: Apache-2.0
"""Renders the kustomizations and the Helm chart with the tools at hand."""

import functools
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[3]
CONFIG = ROOT / "config" / "kubernetes"
CHART = CONFIG / "helm" / "wglan"
NAMESPACE = "wglan-system"
# What stands for itself; the others are parts of them.
KUSTOMIZATIONS = (
    "base",
    "overlays/encrypt-all",
    "overlays/backup-only",
    "overlays/monitoring",
    "overlays/userspace-wireguard",
    "overlays/mount-bpffs",
    "overlays/uninstall",
    "monitoring",
    "discovery",
)
Object = dict[str, Any]
Key = tuple[str, str, str]


class Skipped(Exception):
    pass


class Failed(Exception):
    pass


def check(condition: object, message: str) -> None:
    if not condition:
        raise Failed(message)


def key_of(document: Object) -> Key:
    metadata = document["metadata"]
    return document["kind"], metadata.get("namespace", ""), metadata["name"]


def objects(text: str, origin: str) -> dict[Key, Object]:
    found: dict[Key, Object] = {}
    for document in yaml.safe_load_all(text):
        if document is not None:
            check(key_of(document) not in found, f"{origin}: {key_of(document)} twice")
            found[key_of(document)] = document
    return found


def _run(command: list[str], origin: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    check(done.returncode == 0, f"{origin}: {done.stderr.strip()}")
    return done.stdout


@functools.cache
def _kustomized(name: str) -> str:
    tool = shutil.which("kubectl")
    if tool is None:
        raise Skipped("kubectl isn't installed: tools/deps test")
    return _run([tool, "kustomize", str(CONFIG / name)], name)


def kustomize(name: str) -> dict[Key, Object]:
    return objects(_kustomized(name), name)


class Helm:
    """Helm itself where it is installed, else helmrender (see there), built with Debian's Go packages."""

    def __init__(self, build: Path) -> None:
        helm = shutil.which("helm")
        self.name = "helm" if helm else "helmrender"
        self._command = [helm, "template", "wglan"] if helm else [str(self._built(build))]

    def _built(self, build: Path) -> Path:
        go = shutil.which("go")
        libraries = Path("/usr/share/gocode")
        if go is None or not (libraries / "src/github.com/Masterminds/sprig").is_dir():
            raise Skipped("neither helm nor Go with sprig is installed: tools/deps test")
        build.mkdir(parents=True, exist_ok=True)
        program = build / "helmrender"
        environment = {
            **os.environ,
            "GO111MODULE": "off",
            "GOPATH": str(libraries),
            "GOCACHE": str(build / "go-cache"),
            "GOFLAGS": "",
            "CGO_ENABLED": "0",
        }
        done = subprocess.run(
            [go, "build", "-o", str(program), "."],
            cwd=ROOT / "tests" / "kubernetes" / "helmrender",
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        check(done.returncode == 0, f"helmrender doesn't build: {done.stderr}")
        return program

    def _call(self, values: Object | None) -> subprocess.CompletedProcess[str]:
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            yaml.safe_dump(values or {}, file)
            file.flush()
            helm = ["--kube-version", "1.33.0"] if self.name == "helm" else ["--release", "wglan"]
            command = [*self._command, str(CHART), "--namespace", NAMESPACE, "--values", file.name, *helm]
            return subprocess.run(command, capture_output=True, text=True, check=False)

    def render(self, values: Object | None = None) -> dict[Key, Object]:
        done = self._call(values)
        check(done.returncode == 0, f"{self.name} with {values}: {done.stderr.strip()}")
        return objects(done.stdout, self.name)

    def refusal(self, values: Object) -> str:
        done = self._call(values)
        check(done.returncode != 0, f"{self.name} accepts {values}")
        return done.stderr


def containers(document: Object) -> list[Object]:
    """Of a DaemonSet, Deployment or Job, init containers first."""
    spec = document["spec"]["template"]["spec"]
    return [*spec.get("initContainers", []), *spec["containers"]]
