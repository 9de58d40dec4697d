# SPDX-License-Identifier: Apache-2.0
"""A discovery service in this process, beside the lab's own: sound until a scenario has it lie."""

import http.server
import json
import queue
import re
import socket
import ssl
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from lablib.namespaces import inside

from .forge import Entry
from .scenario import check, eventually

if TYPE_CHECKING:
    from lablib import Lab

_PORT = 51830
_BOOKMARK_S = 5


class Double:
    """Stores what agents put, lists it and tells watchers; `extra` and `send` add what it never got."""

    def __init__(self, lab: "Lab") -> None:
        self._lab = lab
        self.name = f"service:{lab.discovery.addresses.ipv4}:{_PORT}"
        self.entry_of_configuration = {
            "url": f"https://{lab.discovery.addresses.ipv4}:{_PORT}",
            "caFile": str(lab.layout.ca),
        }
        self.extra: list[Any] = []  # at the end of each list
        self.tombstones: list[Any] = []
        self.answer_put: Callable[[Entry], tuple[int, dict[str, Any]] | None] = lambda _: None
        self.puts: list[Entry] = []
        self.lists = 0
        self._nodes: dict[str, Entry] = {}
        self._by_client: dict[str, list[Entry]] = {}
        self._revision = 0
        self._watchers: dict["queue.SimpleQueue[bytes | None]", str] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> "Double":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        directory = self._lab.layout.directory
        context.load_cert_chain(directory / "discovery.pem", directory / "discovery.key")
        listener = inside(
            self._lab.layout.discovery,
            lambda: socket.create_server(("::", _PORT), family=socket.AF_INET6, dualstack_ipv6=True),
        )
        double = self

        class Handler(_Handler):
            def setup(self) -> None:
                self.double = double
                self.request = context.wrap_socket(self.request, server_side=True)
                super().setup()

            def finish(self) -> None:
                super().finish()
                self.request.close()

        self._server = _Server(("::", _PORT), Handler, bind_and_activate=False)
        self._server.socket.close()
        self._server.socket = listener
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.hang_up()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    # --- what scenarios say --------------------------------------------------------------------

    def put(self, entry: Any, *, to: str = "") -> None:
        self.send({"type": "put", "revision": self._next(), "node": entry}, to=to)

    def delete(self, entry: Any, *, to: str = "", **more: Any) -> None:
        self.send({"type": "delete", "revision": self._next(), "node": entry, **more}, to=to)

    def send(self, event: Any, *, to: str = "") -> None:
        self.send_raw(json.dumps(event).encode() + b"\n", to=to)

    def send_raw(self, content: bytes, *, to: str = "") -> None:
        """To the watchers from that address, or to all."""
        with self._lock:
            for watcher, client in self._watchers.items():
                if to in ("", client):
                    watcher.put(content)

    def hang_up(self) -> None:
        """Ends every watch."""
        with self._lock:
            for watcher in self._watchers:
                watcher.put(None)

    def await_watchers(self, count: int) -> None:
        eventually(
            lambda: len(set(self._watchers.values())) >= count,
            f"the double hasn't {count} watchers: {sorted(set(self._watchers.values()))}",
            timeout=20,
        )

    def said_by(self, client: str) -> list[Entry]:
        """What came from that address, oldest first, without repetitions."""
        said = self._by_client.get(client, [])
        check(bool(said), f"the double has no record from {client}")
        return list(said)

    # --- what agents ask -----------------------------------------------------------------------

    def _next(self) -> str:
        with self._lock:
            self._revision += 1
            return f"double-{self._revision}"

    def stored(self, client: str, entry: Entry) -> tuple[int, dict[str, Any]]:
        self.puts.append(entry)
        if answer := self.answer_put(entry):
            return answer
        kept = {key: value for key, value in entry.items() if key != "memberKey"}
        said = self._by_client.setdefault(client, [])
        if not said or said[-1] != kept:
            said.append(kept)
            if kept["payload"]:
                self._nodes[entry["node"]] = kept
                self.put(kept)
            else:
                self._nodes.pop(entry["node"], None)
                self.delete(kept)
        return 200, {"revision": self._next(), "observedAddress": client}

    def list(self) -> dict[str, Any]:
        self.lists += 1
        nodes = [*self._nodes.values(), *self.extra]
        return {"revision": self._next(), "nodes": nodes, "tombstones": self.tombstones}

    def watch(self, client: str, write: Callable[[bytes], None]) -> None:
        watcher: "queue.SimpleQueue[bytes | None]" = queue.SimpleQueue()
        with self._lock:
            self._watchers[watcher] = client
        try:
            while True:
                write(json.dumps({"type": "bookmark", "revision": self._next()}).encode() + b"\n")
                try:
                    while (content := watcher.get(timeout=_BOOKMARK_S)) is not None:
                        write(content)
                    return
                except queue.Empty:
                    continue
        finally:
            with self._lock:
                del self._watchers[watcher]


class _Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6
    daemon_threads = True
    block_on_close = False

    def handle_error(self, *_: object) -> None:
        """Agents that hang up are no news."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    double: Double

    def log_message(self, *_: object) -> None:
        pass

    def _client(self) -> str:
        return str(self.client_address[0]).removeprefix("::ffff:")

    def _answer(self, status: int, content: dict[str, Any]) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        if "watch=true" not in self.path:
            return self._answer(200, self.double.list())
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.double.watch(self._client(), self._chunk)
        self.wfile.write(b"0\r\n\r\n")

    def _chunk(self, content: bytes) -> None:
        self.wfile.write(f"{len(content):x}\r\n".encode() + content + b"\r\n")

    def _write(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        found = re.search(r"/nodes/([\w-]+)$", self.path)
        if found is None:
            return self._answer(404, {"error": self.path})
        self._answer(*self.double.stored(self._client(), {"node": found[1], "payload": "", **body}))

    do_PUT = do_DELETE = _write
