# SPDX-License-Identifier: Apache-2.0
"""What goes on inside other network namespaces, without a process a time."""

import socket
import struct
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from lablib.namespaces import inside

_ECHO_REQUEST, _ECHO_REPLY = 128, 129


def has_route(pid: int, prefix: str, device: str) -> bool:
    """True if the namespace of that process has the IPv4 route; a file read, no process."""
    wanted = struct.unpack("=I", socket.inet_aton(prefix.partition("/")[0]))[0]
    start = f"{device}\t{wanted:08X}\t"
    return any(line.startswith(start) for line in Path(f"/proc/{pid}/net/route").read_text().splitlines())


class Pinger:
    """Pings IPv6 addresses from a namespace until each has answered; errors before that are ignored."""

    INTERVAL = 0.02

    def __init__(self, namespace: str, targets: Sequence[str]) -> None:
        self._socket = inside(
            namespace, lambda: socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
        )
        self._identifier = threading.get_native_id() & 0xFFFF
        self._targets = targets
        self._stop = threading.Event()
        self.answered: dict[str, float] = {}  # when, by time.monotonic()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        message = struct.pack(">BBHHH", _ECHO_REQUEST, 0, 0, self._identifier, 1) + bytes(16)
        while not self._stop.is_set() and len(self.answered) < len(self._targets):
            for target in self._targets:
                if target not in self.answered:
                    try:
                        self._socket.sendto(message, (target, 0))
                    except OSError:
                        continue  # no route yet, or no peer
            self._receive(time.monotonic() + self.INTERVAL)

    def _receive(self, until: float) -> None:
        while (left := until - time.monotonic()) > 0:
            self._socket.settimeout(left)
            try:
                packet, source = self._socket.recvfrom(1500)
            except OSError:
                continue
            kind, _, _, identifier, _ = struct.unpack_from(">BBHHH", packet)
            if kind == _ECHO_REPLY and identifier == self._identifier:
                self.answered.setdefault(source[0], time.monotonic())

    def wait(self, seconds: float) -> bool:
        """True if all have answered within that time."""
        self._thread.join(seconds)
        self._stop.set()
        self._thread.join()
        self._socket.close()
        return len(self.answered) == len(self._targets)
