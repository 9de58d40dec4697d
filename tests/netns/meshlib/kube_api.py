# SPDX-License-Identifier: Apache-2.0
"""An API server for scenarios (kube_server.py), in the lab's discovery host or on one of the nodes."""

import gzip
import json
import ssl
import subprocess
import sys
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any
from urllib.parse import quote

from lablib import Lab, Node
from lablib.namespaces import inside
from lablib.shell import wait_until

_PORT = 6443


class KubeApi:
    """`with KubeApi(lab) as api:`; each node's token is "token-NAME". `host`: a control-plane node."""

    def __init__(self, lab: Lab, host: Node | None = None) -> None:
        self._lab = lab
        self._host = host
        self._folder = lab.layout.directory / "kube"
        self.address = (host or lab.discovery).addresses.ipv4
        self.port = _PORT
        self.url = f"https://{self.address}:{_PORT}"
        self._process: subprocess.Popen[str] | None = None

    @property
    def _namespace(self) -> str:
        return self._host.namespace if self._host else self._lab.layout.discovery

    def __enter__(self) -> "KubeApi":
        self._folder.mkdir(exist_ok=True)
        tokens = {f"token-{name}": name for name in self._lab.nodes} | {"token-test": "*"}
        (self._folder / "tokens.json").write_text(json.dumps(tokens))
        self.start()
        self.tell_servers(self.address)
        return self

    def __exit__(self, *_: object) -> None:
        self._kill()

    def start(self) -> None:
        directory = self._lab.layout.directory
        program = Path(__file__).with_name("kube_server.py")
        words = ["0.0.0.0", str(_PORT), str(directory / "discovery.pem"), str(directory / "discovery.key")]
        self._process = subprocess.Popen(
            ["nsenter", f"--net=/run/netns/{self._namespace}", sys.executable, str(program), *words]
            + [str(self._folder)],
            text=True,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        self._process.stdout.readline()

    def stop(self) -> None:
        """As a crash, but for what etcd would have kept."""
        self.command("POST", "save", {})
        self._kill()

    def _kill(self) -> None:
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._process = None

    # --- requests -----------------------------------------------------------------------------

    def ask(self, method: str, path: str, body: Any = None, *, packed: bool = False) -> Any:
        # The certificate is that of the lab's discovery host, wherever this server runs.
        context = ssl.create_default_context(cafile=str(self._lab.layout.ca))
        context.check_hostname = False
        connection = HTTPSConnection(self.address, _PORT, timeout=60, context=context)
        headers = {"Authorization": "Bearer token-test", "Content-Type": "application/merge-patch+json"}
        if packed:
            headers["Accept-Encoding"] = "gzip"
        try:
            inside(self._namespace, connection.connect)
            text = json.dumps(body).encode() if body is not None else None
            connection.request(method, path, text, headers)
            answer = connection.getresponse()
            raw = answer.read()
            said = (gzip.decompress(raw) if answer.getheader("Content-Encoding") == "gzip" else raw).decode()
        finally:
            connection.close()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {said}")
        return json.loads(said) if said else None

    def command(self, method: str, command: str, body: Any = None) -> Any:
        return self.ask(method, f"/test/{command}", body)

    def settings(self, **changes: Any) -> None:
        """forbid, deny, page, bookmark: see kube_server.py."""
        self.command("PUT", "settings", changes)

    def requests(self, name: str, verb: str, what: str) -> int:
        """How often that node's agent asked, e.g. "patch" of "nodes/status"."""
        return int(self.command("GET", "requests").get(f"{name} {verb} {what}", 0))

    # --- objects ------------------------------------------------------------------------------

    def add_node(self, node: Node, **changes: Any) -> None:
        addresses = node.addresses
        self.put(
            {
                "kind": "Node",
                "apiVersion": "v1",
                "metadata": {"name": node.name, "labels": {"kubernetes.io/hostname": node.name}} | changes,
                "spec": {
                    "podCIDR": addresses.pod_prefix4,
                    "podCIDRs": [addresses.pod_prefix4, addresses.pod_prefix6],
                },
                "status": {
                    "addresses": [
                        {"type": "InternalIP", "address": addresses.ipv4},
                        {"type": "InternalIP", "address": addresses.ipv6},
                        {"type": "Hostname", "address": node.name},
                    ],
                    "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}],
                },
            }
        )

    def put(self, node: dict[str, Any]) -> None:
        self.command("PUT", "put/nodes", node)

    def delete(self, name: str) -> None:
        self.command("DELETE", f"delete/nodes/{name}")

    def read_all(self) -> None:
        """Once, so that the server has its pages ready."""
        following = ""
        while True:
            said = self.ask("GET", f"/api/v1/nodes?limit=250{following}", packed=True)
            if "continue" not in said["metadata"]:
                return
            following = f"&continue={quote(said['metadata']['continue'])}"

    def node(self, name: str) -> dict[str, Any]:
        return dict(self.ask("GET", f"/api/v1/nodes/{name}"))

    def annotations(self, name: str) -> dict[str, str]:
        return dict(self.node(name)["metadata"].get("annotations") or {})

    def condition(self, name: str) -> dict[str, str] | None:
        """WglanReady."""
        for condition in self.node(name)["status"].get("conditions", []):
            if condition["type"] == "WglanReady":
                return dict(condition)
        return None

    def events(self, name: str) -> list[dict[str, Any]]:
        """About that Node."""
        found = self.ask("GET", "/apis/events.k8s.io/v1/namespaces/default/events")["items"]
        return [event for event in found if event["regarding"]["name"] == name]

    def tell_servers(self, *addresses: str) -> None:
        """The EndpointSlice that API servers keep of themselves."""
        families: list[Any] = [{"addresses": [address], "conditions": {"ready": True}} for address in addresses]
        self.command(
            "PUT",
            "put/endpointslices",
            {
                "kind": "EndpointSlice",
                "apiVersion": "discovery.k8s.io/v1",
                "metadata": {"name": "kubernetes", "namespace": "default"},
                "addressType": "IPv4",
                "endpoints": families,
                "ports": [{"name": "https", "port": _PORT, "protocol": "TCP"}],
            },
        )

    def patches(self, name: str) -> int:
        return self.requests(name, "patch", "nodes")

    def configure(self, node: Node) -> list[dict[str, Any]]:
        """Writes the node's kubeconfig; returns the configuration patch that uses it."""
        path = node.directory / "kubeconfig"
        cluster = {"server": self.url, "certificate-authority": str(self._lab.layout.ca)}
        if self._host:
            cluster["tls-server-name"] = self._lab.discovery.addresses.ipv4
        path.write_text(
            json.dumps(
                {
                    "current-context": "lab",
                    "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": node.name}}],
                    "clusters": [{"name": "lab", "cluster": cluster}],
                    "users": [{"name": node.name, "user": {"token": f"token-{node.name}"}}],
                }
            )
        )
        path.chmod(0o600)
        return [
            {"op": "add", "path": "/discovery/kubernetes", "value": {"kubeconfig": str(path)}},
            {"op": "replace", "path": "/discovery/services", "value": []},
            {"op": "remove", "path": "/node/podPrefixes"},
        ]

    def await_patch(self, name: str, key: str, *, timeout: float = 10) -> bool:
        return wait_until(lambda: f"wglan.dev/{key}" in self.annotations(name), timeout=timeout)
