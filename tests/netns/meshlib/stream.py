# SPDX-License-Identifier: Apache-2.0
"""Numbered UDP packets at a steady rate, and what became of them.

Run as a program it is one end (`send ADDRESS PORT RATE` or `receive PORT`), which works until its
standard input closes and then prints what it did as JSON.
"""

import json
import select
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

PORT = 9099
PAYLOAD = b"wglan-clear-text-marker"
_SO_RCVBUFFORCE = 33


@dataclass(frozen=True)
class Outcome:
    sent: int
    received: int
    duplicates: int
    longest_gap_ms: float  # between arrivals

    @property
    def lost(self) -> int:
        return self.sent - self.received

    def __str__(self) -> str:
        return (
            f"{self.sent} sent, {self.lost} lost, {self.duplicates} duplicated, "
            f"longest gap {self.longest_gap_ms:.0f} ms"
        )


class Stream:
    """`with Stream(...) as stream: ...` sends meanwhile; stream.outcome holds afterwards.

    from_command and to_command turn a command line into one that runs at that end.
    """

    def __init__(
        self,
        from_command: Callable[[list[str]], list[str]],
        to_command: Callable[[list[str]], list[str]],
        address: str,
        *,
        rate: int = 2000,
    ) -> None:
        self._from, self._to = from_command, to_command
        self._address, self._rate = address, rate
        self._sender: subprocess.Popen[str] | None = None
        self._receiver: subprocess.Popen[str] | None = None
        self.outcome = Outcome(0, 0, 0, 0)

    def __enter__(self) -> "Stream":
        self._receiver = self._start(self._to, "receive", str(PORT))
        assert self._receiver.stdout is not None
        self._receiver.stdout.readline()  # it is bound
        self._sender = self._start(self._from, "send", self._address, str(PORT), str(self._rate))
        assert self._sender.stdout is not None
        self._sender.stdout.readline()  # it begins: on an emulated CPU that takes seconds
        return self

    @staticmethod
    def _start(command: Callable[[list[str]], list[str]], *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            command([sys.executable, __file__, *arguments]),
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def __exit__(self, *_: object) -> None:
        assert self._sender is not None and self._receiver is not None
        sent = json.loads(self._sender.communicate()[0])["sent"]
        time.sleep(0.5)
        got = json.loads(self._receiver.communicate()[0])
        self.outcome = Outcome(sent, got["received"], got["duplicates"], got["longest_gap_ms"])


def _stdin_closed(timeout: float) -> bool:
    readable, _, _ = select.select([sys.stdin], [], [], timeout)
    return bool(readable)


def _send(address: str, port: int, rate: int) -> dict[str, Any]:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sender:
        sender.connect((address, port))
        print("sending", flush=True)
        sent, start = 0, time.monotonic()
        while not _stdin_closed(0.002):
            # What fell behind isn't made up for in one burst.
            due = min(int((time.monotonic() - start) * rate), sent + 50)
            if due == sent + 50:
                start = time.monotonic() - due / rate
            while sent < due:
                try:
                    sender.send(struct.pack(">Q", sent) + PAYLOAD)
                except OSError:
                    pass  # it counts as sent: an error here is a lost packet
                sent += 1
    return {"sent": sent}


def _receive(port: int) -> dict[str, Any]:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as receiver:
        receiver.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        receiver.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 16 << 20)
        receiver.bind(("::", port))
        print("bound", flush=True)
        seen: set[int] = set()
        duplicates, last, gap = 0, 0.0, 0.0
        while True:
            readable, _, _ = select.select([receiver, sys.stdin], [], [])
            if receiver in readable:
                number = struct.unpack_from(">Q", receiver.recv(2048))[0]
                now = time.monotonic()
                gap = max(gap, now - last) if last else 0.0
                last = now
                duplicates += number in seen
                seen.add(number)
            elif sys.stdin in readable:
                return {"received": len(seen), "duplicates": duplicates, "longest_gap_ms": gap * 1000}


if __name__ == "__main__":
    if sys.argv[1] == "send":
        print(json.dumps(_send(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))))
    else:
        print(json.dumps(_receive(int(sys.argv[2]))))
