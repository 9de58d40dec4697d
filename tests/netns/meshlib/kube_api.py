# SPDX-License-Identifier: Apache-2.0
"""An API server that knows Nodes, in the lab's discovery host, with TLS and one token a user.

Run as a program: `kube_api.py PORT CERTIFICATE KEY STATE`. It answers as kube-apiserver 1.36 was seen to:
lists in pages, chunked watches with bookmarks, 410 in the stream for what is forgotten, merge patches on
condition of a UID that raise no event where nothing changes. STATE is a folder: `tokens.json` maps tokens to
users, whose name is the Node that they may patch.

Its commands come as HTTP requests to /test/..., from the scenario.
"""

import json
import ssl
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING or __name__ != "__main__":  # as a program it needs none, and has no path to it
    from lablib import Lab, Node
    from lablib.shell import run, wait_until

_PORT = 6443
_BOOKMARK = 5.0


class KubeApi:
    """`with KubeApi(lab) as api:`; each node's token is "token-NAME"."""

    def __init__(self, lab: "Lab") -> None:
        self._lab = lab
        self._folder = lab.layout.directory / "kube"
        self.url = f"https://{lab.discovery.addresses.ipv4}:{_PORT}"
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> "KubeApi":
        self._folder.mkdir(exist_ok=True)
        tokens = {f"token-{name}": name for name in self._lab.nodes} | {"token-test": "*"}
        (self._folder / "tokens.json").write_text(json.dumps(tokens))
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        directory = self._lab.layout.directory
        self._process = subprocess.Popen(
            [
                "nsenter",
                f"--net=/run/netns/{self._lab.layout.discovery}",
                sys.executable,
                __file__,
                str(_PORT),
                str(directory / "discovery.pem"),
                str(directory / "discovery.key"),
                str(self._folder),
            ],
            text=True,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        self._process.stdout.readline()

    def stop(self) -> None:
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._process = None

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        command = ["curl", "-sS", "--fail-with-body", "--cacert", str(self._lab.layout.ca), "-X", method]
        command += ["-H", "Authorization: Bearer token-test", f"{self.url}{path}"]
        if body is not None:
            command += ["-H", "Content-Type: application/merge-patch+json", "--data-binary", json.dumps(body)]
        said = run(["nsenter", f"--net=/run/netns/{self._lab.layout.discovery}", *command]).stdout
        return json.loads(said) if said else None

    def add_node(self, node: "Node", **changes: Any) -> None:
        addresses = node.addresses
        self.put(
            {
                "kind": "Node",
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
                    ]
                },
            }
        )

    def put(self, node: dict[str, Any]) -> None:
        self.ask("PUT", "/test/node", node)

    def delete(self, name: str) -> None:
        self.ask("DELETE", f"/test/node/{name}")

    def node(self, name: str) -> dict[str, Any]:
        return dict(self.ask("GET", f"/api/v1/nodes/{name}"))

    def annotations(self, name: str) -> dict[str, str]:
        return dict(self.node(name)["metadata"].get("annotations") or {})

    def patches(self, name: str) -> int:
        return int(self.ask("GET", "/test/patches").get(name, 0))

    def configure(self, node: "Node") -> list[dict[str, Any]]:
        """Writes the node's kubeconfig; returns the configuration patch that uses it."""
        path = node.directory / "kubeconfig"
        path.write_text(
            json.dumps(
                {
                    "current-context": "lab",
                    "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": node.name}}],
                    "clusters": [
                        {
                            "name": "lab",
                            "cluster": {
                                "server": self.url,
                                "certificate-authority": str(self._lab.layout.ca),
                            },
                        }
                    ],
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


class _Store:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tokens: dict[str, str] = json.loads((folder / "tokens.json").read_text())
        self.changed = threading.Condition()
        self.revision = 1000
        self.events: list[tuple[int, str]] = []
        self.patches: dict[str, int] = {}
        self.forgotten = 0
        saved = folder / "nodes.json"
        self.nodes: dict[str, Any] = {}
        if saved.exists():  # started again: what happened before is forgotten
            stored = json.loads(saved.read_text())
            self.nodes, self.revision = stored["nodes"], stored["revision"] + 100
            self.forgotten = self.revision

    def record(self, kind: str, node: Any) -> None:
        self.revision += 1
        node["metadata"]["resourceVersion"] = str(self.revision)
        self.events.append((self.revision, json.dumps({"type": kind, "object": node})))
        (self.folder / "nodes.json").write_text(json.dumps({"nodes": self.nodes, "revision": self.revision}))
        self.changed.notify_all()

    def put(self, node: Any) -> None:
        name = node["metadata"]["name"]
        node["metadata"].setdefault("uid", f"uid-{name}-{self.revision}")
        kind = "MODIFIED" if name in self.nodes else "ADDED"
        self.nodes[name] = node
        self.record(kind, node)


def _merge(target: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = _merge(result.get(key), value)
    return result


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    store: _Store

    def log_message(self, *_: Any) -> None:
        pass

    def _answer(self, status: int, body: Any) -> None:
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def _refuse(self, status: int, message: str) -> None:
        self._answer(status, {"kind": "Status", "status": "Failure", "code": status, "message": message})

    def _user(self) -> str | None:
        given = self.headers.get("Authorization", "")
        if not given:
            self._refuse(403, 'nodes is forbidden: User "system:anonymous" cannot list resource "nodes"')
            return None
        user = self.store.tokens.get(given.removeprefix("Bearer "))
        if user is None:
            self._refuse(401, "Unauthorized")
        return user

    def _body(self) -> Any:
        return json.loads(self.rfile.read(int(self.headers.get("Content-Length", "0"))))

    def do_GET(self) -> None:
        if self._user() is None:
            return
        url = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        if query.get("watch") == "true":
            self._watch(query)
            return
        with self.store.changed:
            name = url.path.rpartition("/")[2]
            if url.path == "/test/patches":
                self._answer(200, self.store.patches)
            elif name == "nodes":
                self._list(query)
            elif name in self.store.nodes:
                self._answer(200, self.store.nodes[name])
            else:
                self._refuse(404, f'nodes "{name}" not found')

    def _list(self, query: dict[str, str]) -> None:
        limit = min(int(query.get("limit", "500")), 2)  # small pages, so that there are some
        names = sorted(name for name in self.store.nodes if name >= query.get("continue", ""))
        metadata = {"resourceVersion": str(self.store.revision)}
        if len(names) > limit:
            metadata["continue"] = names[limit]
        items = [
            {key: value for key, value in self.store.nodes[name].items() if key != "kind"}
            for name in names[:limit]
        ]
        self._answer(200, {"kind": "NodeList", "apiVersion": "v1", "metadata": metadata, "items": items})

    def _line(self, text: str) -> None:
        data = text.encode() + b"\n"
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()

    def _watch(self, query: dict[str, str]) -> None:
        at = int(query["resourceVersion"])
        end = time.monotonic() + float(query.get("timeoutSeconds", "60"))
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        if at < self.store.forgotten:
            status = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"}
            self._line(json.dumps({"type": "ERROR", "object": status}))
            self.wfile.write(b"0\r\n\r\n")
            return
        while time.monotonic() < end:
            with self.store.changed:
                news = [event for event in self.store.events if event[0] > at]
                if not news:
                    self.store.changed.wait(_BOOKMARK)
                    news = [event for event in self.store.events if event[0] > at]
            for revision, line in news:
                at = revision
                self._line(line)
            if not news:
                bookmark = {"kind": "Node", "metadata": {"resourceVersion": str(at)}}
                self._line(json.dumps({"type": "BOOKMARK", "object": bookmark}))
        self.wfile.write(b"0\r\n\r\n")

    def do_PATCH(self) -> None:
        user = self._user()
        if user is None:
            return
        patch = self._body()
        name = self.path.rpartition("/")[2]
        with self.store.changed:
            if user not in ("*", name):
                self._refuse(403, f'nodes "{name}" is forbidden: node "{user}" is not allowed to modify it')
            elif self.headers.get("Content-Type") != "application/merge-patch+json":
                self._refuse(415, "the body of the request was in an unknown format")
            elif name not in self.store.nodes:
                self._refuse(404, f'nodes "{name}" not found')
            else:
                before = self.store.nodes[name]
                after = _merge(before, patch)
                if after["metadata"]["uid"] != before["metadata"]["uid"]:
                    self._refuse(409, "Precondition failed: UID in precondition")
                    return
                self.store.patches[name] = self.store.patches.get(name, 0) + (user != "*")
                if after != before:
                    self.store.put(after)
                self._answer(200, self.store.nodes[name])

    def do_PUT(self) -> None:
        if self._user() != "*":
            return
        node = self._body()
        with self.store.changed:
            self.store.put(node)
            self._answer(200, {})

    def do_DELETE(self) -> None:
        if self._user() != "*":
            return
        with self.store.changed:
            node = self.store.nodes.pop(self.path.rpartition("/")[2])
            self.store.record("DELETED", node)
            self._answer(200, {})


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """Clients that go away are none of the test's business."""


def _serve(port: int, certificate: str, key: str, folder: Path) -> None:
    _Handler.store = _Store(folder)
    server = _Server(("0.0.0.0", port), _Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    print("ready", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    _serve(int(sys.argv[1]), sys.argv[2], sys.argv[3], Path(sys.argv[4]))
