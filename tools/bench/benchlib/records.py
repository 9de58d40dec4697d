# SPDX-License-Identifier: Apache-2.0
"""Records of nodes that don't exist, put at a lab's discovery service."""

import hashlib
import http.client
import json
import ssl
import time
from pathlib import Path

from lablib import Lab, LabError
from lablib.layout import DISCOVERY_PORT
from lablib.namespaces import inside
from lablib.shell import run


# The service limits requests by client address; in its own namespace all of 127.0.0.0/8 is ours.
_PER_ADDRESS = 150


class Records:
    def __init__(self, lab: Lab, programs: Path) -> None:
        self._lab = lab
        self._program = programs / "bench_records"
        token = lab.layout.token.read_text().strip()
        self._cluster = hashlib.sha256(token.encode()).hexdigest()
        self._connections = 0
        self._connection: http.client.HTTPSConnection | None = None
        self._used = 0

    def make(self, first: int, count: int = 1, *, sequence: int = 1) -> list[tuple[str, bytes]]:
        """Signed and sealed: (path, body) of each. Numbers from `first`."""
        words = [str(self._program), str(self._lab.layout.token), str(first), str(count), str(sequence)]
        lines = [json.loads(line) for line in run(words).stdout.splitlines()]
        return [
            (
                f"/v1/clusters/{self._cluster}/nodes/{line['node']}",
                json.dumps(line["body"]).encode(),
            )
            for line in lines
        ]

    @staticmethod
    def prefix(number: int, sequence: int = 1) -> str:
        """The prefix that comes with this sequence of that record: see bench_records.cpp."""
        if sequence == 1:
            return f"10.{number // 250}.{number % 250}.0/24"
        return f"100.{sequence % 250}.{number % 250}.0/24"

    def put(self, path: str, body: bytes) -> float:
        """Returns when it was sent (time.monotonic())."""
        connection = self._connect()
        sent = time.monotonic()
        connection.request("PUT", path, body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        said = response.read()
        if response.status not in (200, 201):
            raise LabError(f"PUT {path}: {response.status} {said.decode(errors='replace')}")
        return sent

    def put_all(self, records: list[tuple[str, bytes]]) -> None:
        for path, body in records:
            self.put(path, body)

    def _connect(self) -> http.client.HTTPSConnection:
        if self._connection is None or self._used >= _PER_ADDRESS:
            self.close()
            self._connections += 1
            source = f"127.0.{self._connections // 250}.{self._connections % 250 + 1}"
            context = ssl.create_default_context(cafile=str(self._lab.layout.ca))
            connection = http.client.HTTPSConnection(
                self._lab.discovery.addresses.ipv4,
                DISCOVERY_PORT,
                timeout=20,
                context=context,
                source_address=(source, 0),
            )
            inside(self._lab.layout.discovery, connection.connect)
            self._connection = connection
            self._used = 0
        self._used += 1
        return self._connection

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
