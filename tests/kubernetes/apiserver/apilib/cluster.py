# SPDX-License-Identifier: Apache-2.0
"""A cluster without kubelets: the API server, WgLAN's manifests, Nodes, and the agents' pods and tokens."""

import json
import ssl
from dataclasses import dataclass
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any

from kubelib.manifests import CONFIG
from lablib import Lab, Node
from lablib.namespaces import inside
from lablib.shell import run, wait_until
from meshlib.scenario import Patch, check

from .programs import PORT, Programs

NAMESPACE, ACCOUNT = "wglan-system", "wglan-agent"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
JSON_PATCH = "application/json-patch+json"
APPLY = "application/apply-patch+yaml"
Object = dict[str, Any]


@dataclass(frozen=True)
class Answer:
    status: int
    body: Any

    @property
    def message(self) -> str:
        return str(self.body.get("message", "")) if isinstance(self.body, dict) else str(self.body)


class Cluster:
    """`with Cluster(lab) as api:`; gone with the lab at the latest."""

    def __init__(self, lab: Lab, *options: str) -> None:
        self.lab = lab
        self.programs = Programs(lab)
        self.programs.options = list(options)
        self.host = lab.discovery.addresses
        self._tokens: dict[str, str] = {}

    def __enter__(self) -> "Cluster":
        self.programs.prepare()
        self.programs.start_etcd()
        self.start()
        self.apply("base")
        return self

    def __exit__(self, *_: object) -> None:
        self.programs.end()

    def start(self) -> None:
        self.programs.start_server()
        ready = wait_until(lambda: self.is_ready() or not self.programs.runs(), timeout=60, step=0.2)
        check(ready and self.programs.runs(), f"the API server isn't ready\n{self.programs.log_tail()}")

    def is_ready(self) -> bool:
        try:
            return self.ask("GET", "/readyz").status == 200
        except OSError:
            return False

    # --- requests -----------------------------------------------------------------------------

    def ask(
        self, method: str, path: str, body: Any = None, *, token: str | None = None, type_: str = "application/json"
    ) -> Answer:
        """As the administrator, or with a token."""
        context = ssl.create_default_context(cafile=str(self.lab.layout.ca))
        if token is None:
            context.load_cert_chain(self.programs.at("admin.pem"), self.programs.at("admin.key"))
        connection = HTTPSConnection(self.host.ipv4, PORT, timeout=60, context=context)
        headers = {"Content-Type": type_, "Accept": "application/json"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        try:
            inside(self.programs.namespace, connection.connect)
            connection.request(method, path, json.dumps(body).encode() if body is not None else None, headers)
            answer = connection.getresponse()
            text = answer.read().decode()
            status = answer.status
        finally:
            connection.close()
        try:
            return Answer(status, json.loads(text))
        except ValueError:
            return Answer(status, text)

    def do(self, method: str, path: str, body: Any = None, *, type_: str = "application/json") -> Any:
        answer = self.ask(method, path, body, type_=type_)
        check(answer.status < 300, f"{method} {path}: {answer.status} {answer.message}")
        return answer.body

    def kubectl(self, *arguments: str, stdin: str | None = None, expect: bool = True) -> str:
        words = [str(self.programs.bin / "kubectl"), f"--server=https://{self.host.ipv4}:{PORT}"]
        words += [f"--certificate-authority={self.lab.layout.ca}", f"--client-key={self.programs.at('admin.key')}"]
        words += [f"--client-certificate={self.programs.at('admin.pem')}", f"--cache-dir={self.programs.at('cache')}"]
        done = run(self.programs.inside([*words, "--kubeconfig=/dev/null", *arguments]), check=expect, stdin=stdin)
        return done.stdout + done.stderr

    def apply(self, name: str) -> str:
        """A kustomization, with the server's own validation."""
        return self.kubectl("apply", "--validate=strict", "-k", str(CONFIG / name))

    # --- Nodes, pods, tokens ------------------------------------------------------------------

    def add_node(self, node: Node) -> None:
        addresses = node.addresses
        self.put_node(
            node.name,
            [addresses.pod_prefix4, addresses.pod_prefix6],
            [addresses.ipv4, addresses.ipv6],
        )

    def put_node(self, name: str, cidrs: list[str], addresses: list[str]) -> None:
        metadata: Object = {"name": name, "labels": {"kubernetes.io/hostname": name, "zone": "a"}}
        metadata["annotations"] = {"node.alpha.kubernetes.io/ttl": "0"}
        spec = {"podCIDR": cidrs[0], "podCIDRs": cidrs, "taints": [{"key": "a", "effect": "NoSchedule"}]}
        self.do("POST", "/api/v1/nodes", {"metadata": metadata, "spec": spec})
        status = {
            "addresses": [{"type": "InternalIP", "address": one} for one in addresses]
            + [{"type": "Hostname", "address": name}],
            "capacity": {"cpu": "4", "pods": "110"},
            "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}],
        }
        self.do("PATCH", f"/api/v1/nodes/{name}/status", {"status": status}, type_=MERGE)

    def node(self, name: str) -> Object:
        return dict(self.do("GET", f"/api/v1/nodes/{name}"))

    def annotations(self, name: str) -> dict[str, str]:
        found = self.node(name)["metadata"].get("annotations") or {}
        return {key: text for key, text in found.items() if key.startswith("wglan.dev/")}

    def version(self, name: str) -> str:
        return str(self.node(name)["metadata"]["resourceVersion"])

    def condition(self, name: str) -> Object | None:
        """WglanReady."""
        for one in self.node(name)["status"].get("conditions", []):
            if one["type"] == "WglanReady":
                return dict(one)
        return None

    def events(self, name: str) -> list[Object]:
        found = self.do("GET", "/apis/events.k8s.io/v1/namespaces/default/events")["items"]
        return [event for event in found if event["regarding"]["name"] == name]

    def annotate(self, name: str, annotations: dict[str, str | None]) -> None:
        self.do("PATCH", f"/api/v1/nodes/{name}", {"metadata": {"annotations": annotations}}, type_=MERGE)

    def add_pod(self, node: str) -> None:
        """The agent's, bound to that node, as the DaemonSet's controller and the scheduler would make it."""
        spec = {"serviceAccountName": ACCOUNT, "nodeName": node, "containers": [{"name": "agent", "image": "wglan"}]}
        self.do(
            "POST", f"/api/v1/namespaces/{NAMESPACE}/pods", {"metadata": {"name": f"agent-{node}"}, "spec": spec}
        )

    def delete_pod(self, node: str) -> None:
        self.do("DELETE", f"/api/v1/namespaces/{NAMESPACE}/pods/agent-{node}", {"gracePeriodSeconds": 0})

    def new_token(self, node: str, seconds: int = 3600) -> str:
        """What the kubelet asks for: bound to the pod, and by it to the node."""
        bound = {"kind": "Pod", "apiVersion": "v1", "name": f"agent-{node}"}
        body = {"spec": {"expirationSeconds": seconds, "boundObjectRef": bound}}
        path = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/{ACCOUNT}/token"
        return str(self.do("POST", path, body)["status"]["token"])

    # --- agents -------------------------------------------------------------------------------

    def token_file(self, node: Node) -> Path:
        return node.directory / "token"

    def renew(self, node: Node) -> None:
        """A new token in the file, in one step, as the kubelet does it."""
        fresh = self.token_file(node).with_suffix(".new")
        fresh.write_text(self.new_token(node.name))
        fresh.chmod(0o600)
        fresh.rename(self.token_file(node))

    def admit(self, node: Node) -> None:
        self.add_node(node)
        self.add_pod(node.name)
        self.renew(node)

    def configure(self, node: Node, *, six: bool = False, ca: Path | None = None) -> Patch:
        """Writes the node's kubeconfig; returns the configuration patch that uses it."""
        path = node.directory / "kubeconfig"
        address = f"[{self.host.ipv6}]" if six else self.host.ipv4
        cluster = {"server": f"https://{address}:{PORT}", "certificate-authority": str(ca or self.lab.layout.ca)}
        user = {"tokenFile": str(self.token_file(node))}
        content = {
            "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [{"name": "c", "cluster": cluster}],
            "users": [{"name": "u", "user": user}],
        }
        path.write_text(json.dumps(content))
        path.chmod(0o600)
        return [
            {"op": "add", "path": "/discovery/kubernetes", "value": {"kubeconfig": str(path)}},
            {"op": "replace", "path": "/discovery/services", "value": []},
            {"op": "remove", "path": "/node/podPrefixes"},
        ]
