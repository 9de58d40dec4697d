# SPDX-License-Identifier: Apache-2.0
"""Pings that show from when on everything passes again."""

import socket
import struct
import threading
import time

from .errors import LabError
from .namespaces import inside
from .shell import SLOW

_ECHO_REQUEST, _ECHO_REPLY = 128, 129


class Watch:
    """Pings an IPv6 address from a namespace all the while it is entered."""

    INTERVAL = 0.01
    _ANSWER = 0.2 * SLOW  # what hasn't come by then is lost
    _SETTLED = 1.0  # nothing is lost for so long

    def __init__(self, namespace: str, target: str) -> None:
        self._socket = inside(
            namespace, lambda: socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
        )
        self._target = target
        self._stop = threading.Event()
        self._sent: list[float] = []
        self._answered: list[bool] = []
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def pause(self) -> None:
        """No more pings; what was sent may still be asked about."""
        self._stop.set()
        self._thread.join()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._socket.close()

    def _run(self) -> None:
        identifier = threading.get_native_id() & 0xFFFF
        while not self._stop.is_set():
            number = len(self._sent)
            message = struct.pack(">BBHHHQ", _ECHO_REQUEST, 0, 0, identifier, number & 0xFFFF, number)
            self._sent.append(time.monotonic())
            self._answered.append(False)
            try:
                self._socket.sendto(message, (self._target, 0))
            except OSError:
                pass  # no route or no peer now: as good as lost
            self._receive(identifier, self._sent[-1] + self.INTERVAL)

    def _receive(self, identifier: int, until: float) -> None:
        while (left := until - time.monotonic()) > 0:
            self._socket.settimeout(left)
            try:
                packet, _ = self._socket.recvfrom(1500)
            except OSError:
                continue
            if len(packet) < 16:
                continue
            kind, _, _, ours, _, number = struct.unpack_from(">BBHHHQ", packet)
            if kind == _ECHO_REPLY and ours == identifier and number < len(self._answered):
                self._answered[number] = True

    def lost(self) -> int:
        """How many weren't answered, but for the last ones, which still may be."""
        known = time.monotonic() - self._ANSWER
        return sum(at < known and not answered for at, answered in zip(self._sent, self._answered, strict=False))

    def recovered(self, since: float, *, timeout: float) -> float:
        """Seconds from then until the first ping after which none was lost; 0: none was."""
        end = time.monotonic() + timeout * SLOW
        while time.monotonic() < end:
            time.sleep(0.05)
            now = time.monotonic()
            # The last ones may still be answered.
            known = [index for index, at in enumerate(self._sent) if since <= at < now - self._ANSWER]
            if not known or self._sent[known[-1]] - since < self._SETTLED:
                continue
            lost = [index for index in known if not self._answered[index]]
            if not lost:
                return 0.0
            if self._sent[known[-1]] - self._sent[lost[-1]] >= self._SETTLED:
                return self._sent[lost[-1] + 1] - since
        raise LabError(f"no traffic within {timeout * SLOW:g} s")
