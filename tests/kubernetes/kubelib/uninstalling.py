# SPDX-License-Identifier: Apache-2.0
"""The script of the Helm hook, against an API server that answers as a real one does while a rollout goes on."""

import json
import re
import shutil
import ssl
import subprocess
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from .manifests import CHART, CONFIG, NAMESPACE, Helm, Object, Skipped, check, kustomize

_PATH = f"/apis/apps/v1/namespaces/{NAMESPACE}/daemonsets/wglan-agent"
_TOKEN = "token-of-the-hook"


class Server:
    """One DaemonSet of three nodes that is rolled out by one node a look."""

    def __init__(self, folder: Path, *, refuse: int = 0, missing: bool = False, stuck: bool = False) -> None:
        self.patches: list[Any] = []
        self.looks = 0
        self._folder, self._refuse, self._missing, self._stuck = folder, refuse, missing, stuck
        certificate, key = folder / "ca.crt", folder / "server.key"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
            + ["-subj", "/CN=api", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
            check=True,
            capture_output=True,
        )
        (folder / "token").write_text(_TOKEN)
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._answer(*outer.get())

            def do_PATCH(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                self._answer(*outer.patch(self.headers["content-type"], body))

            def _answer(self, status: int, document: Object) -> None:
                if self.headers["authorization"] != f"Bearer {_TOKEN}" or self.path != _PATH:
                    status, document = 401, {"message": "Unauthorized"}
                text = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("content-length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self._http.socket = context.wrap_socket(self._http.socket, server_side=True)
        self.port = self._http.server_address[1]
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()

    def patch(self, kind: str, body: bytes) -> tuple[int, Object]:
        if kind != "application/strategic-merge-patch+json":
            return 415, {"message": kind}
        if self._missing:
            return 404, {"message": "not found"}
        if self._refuse:
            return self._refuse, {"message": "refused for a test"}
        self.patches.append(json.loads(body))
        # Right after the patch the status is the old generation's, and looks like a finished rollout.
        return 200, self._document(observed=1, updated=3)

    def get(self) -> tuple[int, Object]:
        self.looks += 1
        return 200, self._document(observed=2, updated=0 if self._stuck else min(self.looks, 3))

    def _document(self, *, observed: int, updated: int) -> Object:
        status = {"observedGeneration": observed, "desiredNumberScheduled": 3, "numberAvailable": updated}
        return {"metadata": {"generation": 2}, "status": {**status, "updatedNumberScheduled": updated}}


def _run(server: Server, folder: Path, patch: str, timeout: int) -> subprocess.CompletedProcess[str]:
    """The script with the paths of the pod put into `folder`."""
    script = (CHART / "files" / "uninstall.sh").read_text()
    paths = "/var/run/secrets/kubernetes.io/serviceaccount|/etc/wglan-uninstall|/tmp"
    for path in paths.split("|"):
        check(path in script, f"uninstall.sh doesn't use {path}")
    script = re.sub(paths, str(folder), script)
    (folder / "patch.json").write_text(patch)
    environment = {
        "PATH": "/usr/bin:/bin",
        "KUBERNETES_SERVICE_HOST": "127.0.0.1",
        "KUBERNETES_SERVICE_PORT": str(server.port),
        "NAMESPACE": NAMESPACE,
        "TIMEOUT": str(timeout),
        "INTERVAL": "0.2",
    }
    return subprocess.run(
        ["sh", "-c", script], env=environment, capture_output=True, text=True, check=False, timeout=60
    )


def uninstall(build: Path) -> str:
    for program in ("curl", "jq", "openssl"):
        if shutil.which(program) is None:
            raise Skipped(f"{program} isn't installed: tools/deps")
    ours = (CONFIG / "overlays/uninstall/uninstall.yaml").read_text()
    check(ours == (CHART / "files/uninstall.yaml").read_text(), "the chart's uninstall.yaml is another one")
    patch = Helm(build).render()["ConfigMap", NAMESPACE, "wglan-uninstall"]["data"]["patch.json"]
    _turns_into_cleanup(patch)
    cases: tuple[tuple[str, Object, int, int, str], ...] = (
        ("a rollout", {}, 30, 0, "all nodes are clean"),
        ("no DaemonSet", {"missing": True}, 5, 0, "nothing to clean"),
        ("no right", {"refuse": 403}, 5, 1, "refuses (403): refused for a test"),
        ("a node that doesn't come", {"stuck": True}, 3, 1, "not all nodes are clean"),
    )
    for name, faults, timeout, status, text in cases:
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            server = Server(folder, **faults)
            try:
                done = _run(server, folder, patch, timeout)
            finally:
                server.close()
            said = done.stdout + done.stderr
            check(done.returncode == status and text in said, f"{name}: exit {done.returncode}: {said}")
            check(_TOKEN not in said, f"{name}: the token is printed")
            if name == "a rollout":
                check(server.patches == [json.loads(patch)], f"patches: {server.patches}")
                check(server.looks == 3, f"{server.looks} looks at a rollout of three")
    _keeps_the_keys_until_clean(json.loads(patch)["spec"]["template"]["spec"]["containers"][0])
    return f"{len(cases)} cases"


_AGENT = """#!/bin/sh
ls state >>seen
[ "$(wc -l <seen)" -ge "$TRIES" ]
"""
_SLEEP = """#!/bin/sh
[ "$1" = infinity ] && ls -A state >left && exit
cat /proc/$PPID/comm >>waiting
"""


def _keeps_the_keys_until_clean(container: Object) -> None:
    """The cleaning pod's command with an agent that fails at first: keys are there for each try, and gone at the end."""
    probe = container["readinessProbe"]["exec"]["command"]
    check(probe == ["grep", "-qx", "sleep", "/proc/1/comm"], f"ready when {probe}")
    script = container["args"][0]
    for path, name in (("/var/lib/wglan", "state"), ("/run/wglan", "run")):
        check(path in script, f"{path} stays")
        script = script.replace(path, name)
    for tries in (1, 3):
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            for name in ("state", "run", "bin"):
                (folder / name).mkdir()
            (folder / "state/private.key").touch()
            (folder / "waiting").touch()
            for name, text in (("wglan-agent", _AGENT), ("sleep", _SLEEP)):
                (folder / "bin" / name).write_text(text)
                (folder / "bin" / name).chmod(0o755)
            environment = {"PATH": f"{folder}/bin:/usr/bin:/bin", "TRIES": str(tries)}
            done = subprocess.run(
                [*container["command"], script],
                env=environment,
                cwd=folder,
                capture_output=True,
                text=True,
                check=False,
                timeout=20,
            )
            said = f"{tries} tries, exit {done.returncode}: {done.stdout}{done.stderr}"
            check(done.returncode == 0 and done.stdout.endswith("this node is clean\n"), said)
            check((folder / "seen").read_text() == "private.key\n" * tries, f"{said}: {(folder / 'seen').read_text()}")
            check((folder / "left").read_text() == "", f"{said}: left {(folder / 'left').read_text()}")
            # Not the sleep that makes the pod ready.
            check((folder / "waiting").read_text() == "sh\n" * (tries - 1), f"{said}: it looks ready")


def _turns_into_cleanup(patch: str) -> None:
    """What kustomize makes of the same patch cleans, and is ready when it has."""
    spec = kustomize("overlays/uninstall")["DaemonSet", NAMESPACE, "wglan-agent"]["spec"]
    agent = spec["template"]["spec"]["containers"][0]
    change = json.loads(patch)["spec"]["template"]["spec"]["containers"][0]
    check(agent["args"] == change["args"] and "--cleanup" in agent["args"][0], f"{agent['args']}")
    check("livenessProbe" not in agent and "startupProbe" not in agent, "a cleaned node is probed for an agent")
    check("httpGet" not in agent["readinessProbe"], f"{agent['readinessProbe']}")
    check(spec["updateStrategy"]["rollingUpdate"]["maxUnavailable"] == "100%", f"{spec['updateStrategy']}")
    before = kustomize("base")["DaemonSet", NAMESPACE, "wglan-agent"]["spec"]["template"]["spec"]
    for part in ("volumeMounts", "securityContext", "env", "image"):
        check(agent[part] == before["containers"][0][part], f"--cleanup runs with another {part}")
