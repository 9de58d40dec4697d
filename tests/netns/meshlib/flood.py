# SPDX-License-Identifier: Apache-2.0
"""Datagrams at a WireGuard port that no peer would send, or not so many of.

Run as a program (`flood.py ADDRESS PORT RATE KIND`) it sends until its standard input closes, and then
prints how many those were.
"""

import os
import random
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable

KINDS = ("initiations", "junk", "mutated")
_INITIATION = b"\1\0\0\0"


class Flood:
    """`with Flood(...) as flood: ...` floods meanwhile; flood.sent and flood.seconds hold afterwards.

    `command` turns a command line into one that runs where the flood comes from.
    """

    def __init__(
        self,
        command: Callable[[list[str]], list[str]],
        address: str,
        *,
        port: int = 51820,
        rate: int = 2000,
        kind: str = "initiations",
    ) -> None:
        self._command = command([sys.executable, __file__, address, str(port), str(rate), kind])
        self.sent = 0
        self.seconds = 0.0

    def __enter__(self) -> "Flood":
        self._process = subprocess.Popen(
            self._command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._process.stdout is not None
        self._process.stdout.readline()  # it has begun
        self._start = time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        self.sent = int(self._process.communicate()[0])
        self.seconds = time.monotonic() - self._start


def _datagram(kind: str, dice: random.Random) -> bytes:
    if kind == "initiations":
        return _INITIATION + dice.randbytes(144)
    if kind == "junk":
        return b"\xff" + dice.randbytes(dice.randrange(0, 1300))
    message = bytearray(dice.choice((1, 2, 3, 4)).to_bytes(4, "little") + dice.randbytes(144))
    for _ in range(dice.randrange(0, 4)):
        message[dice.randrange(0, 8)] = dice.randrange(256)
    return bytes(message[: dice.randrange(0, 149)])


def _send(address: str, port: int, rate: int, kind: str) -> int:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    seed = int.from_bytes(os.urandom(4), "little")
    print(f"seed {seed}", flush=True)
    dice = random.Random(seed)
    with socket.socket(family, socket.SOCK_DGRAM) as sender:
        sent, start = 0, time.monotonic()
        while not select.select([sys.stdin], [], [], 0.002)[0]:
            due = min(int((time.monotonic() - start) * rate), sent + 100)
            while sent < due:
                try:
                    sender.sendto(_datagram(kind, dice), (address, port))
                except OSError:
                    pass  # port unreachable of an earlier one
                sent += 1
    return sent


if __name__ == "__main__":
    print(_send(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]))
