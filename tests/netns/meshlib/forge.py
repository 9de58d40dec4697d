# SPDX-License-Identifier: Apache-2.0
"""Signed and sealed entries of nodes that don't exist, sound or with any defect."""

import base64
import contextlib
import hashlib
import http.client
import json
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lablib.layout import DISCOVERY_PORT
from lablib.namespaces import inside
from lablib.shell import SLOW, run

from .scenario import Failed, Skipped

if TYPE_CHECKING:
    from .scenario import Mesh

Entry = dict[str, Any]
MAX_PAYLOAD = 16 << 10


class Forge:
    """Knows the lab's token. Needs the tests' wglan-test-record, which says what can be wished for."""

    def __init__(self, mesh: "Mesh") -> None:
        self._lab = mesh.lab
        self._program = Path(mesh.lab.settings.programs) / "wglan-test-record"
        if not self._program.exists():
            raise Skipped("wglan-test-record isn't built (it is part of the tests' build)")
        self._token = mesh.lab.layout.token.read_text().strip()
        self.cluster = hashlib.sha256(self._token.encode()).hexdigest()
        self._clients = 0

    def entry(self, node: str, **wish: Any) -> Entry:
        """What that node says; a name gives the same keys and overlay address each time."""
        address = f"200:1001::bad:{hashlib.sha256(node.encode()).hexdigest()[:4]}"
        record = {"address": address, **wish.pop("record", {})}
        wish = {"token": self._token, "node": node, "record": record, **wish}
        return dict(json.loads(run([str(self._program)], stdin=json.dumps(wish) + "\n").stdout))

    def tombstone(self, node: str, **wish: Any) -> Entry:
        return self.entry(node, tombstone=True, **wish)

    # --- the lab's own service -----------------------------------------------------------------

    def put(self, entry: Entry, method: str = "PUT") -> tuple[int, dict[str, Any]]:
        body = {key: value for key, value in entry.items() if key != "node"}
        return self.call(method, f"/v1/clusters/{self.cluster}/nodes/{entry['node']}", json.dumps(body))

    def call(self, method: str, path: str, body: str | None = None) -> tuple[int, dict[str, Any]]:
        """Status and answer. Each call comes from an address of its own, so that no limit is met."""
        self._clients += 1
        with self._connected(f"127.7.{self._clients // 250}.{self._clients % 250 + 1}") as connection:
            status, text = _ask(connection, method, path, body)
        try:
            return status, dict(json.loads(text))
        except ValueError:
            return status, {"error": text.decode(errors="replace")}

    def hammer(self, path: str, *, until: int, most: int) -> int:
        """Asks as fast as it can, from one address, until it is answered that status; how often that was."""
        with self._connected("127.9.9.9") as connection:
            for count in range(1, most + 1):
                if _ask(connection, "GET", path)[0] == until:
                    return count
        raise Failed(f"{most} calls of one client, and none is answered {until}")

    @contextlib.contextmanager
    def _connected(self, source: str) -> Iterator[http.client.HTTPSConnection]:
        connection = http.client.HTTPSConnection(
            self._lab.discovery.addresses.ipv4,
            DISCOVERY_PORT,
            timeout=10 * SLOW,
            context=ssl.create_default_context(cafile=str(self._lab.layout.ca)),
            source_address=(source, 0),
        )
        try:
            inside(self._lab.layout.discovery, connection.connect)
            connection.auto_open = 0  # another connection would start in this namespace
            yield connection
        finally:
            connection.close()


def _ask(
    connection: http.client.HTTPSConnection, method: str, path: str, body: str | None = None
) -> tuple[int, bytes]:
    connection.request(method, path, body, {"Content-Type": "application/json"})
    response = connection.getresponse()
    return response.status, response.read()


def damaged(entry: Entry, field: str = "payload") -> Entry:
    """One bit of it is another."""
    content = bytearray(base64.b64decode(entry[field]))
    content[len(content) // 2] ^= 1
    return {**entry, field: base64.b64encode(content).decode()}


def shortened(entry: Entry, left: int) -> Entry:
    """Only the payload's first bytes are left."""
    return {**entry, "payload": base64.b64encode(base64.b64decode(entry["payload"])[:left]).decode()}
