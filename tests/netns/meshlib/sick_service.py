# SPDX-License-Identifier: Apache-2.0
"""A discovery service that misbehaves, with the lab's certificate, beside the good one.

Run as a program: `sick_service.py MANNER PORT CERTIFICATE KEY COUNTER`.
"""

import socket
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lablib import Lab

_PORT = 51822


class SickService:
    MANNERS = ("hangs", "garbage", "closes-mid-body", "endless-line", "endless-body", "wrong-json")

    def __init__(self, lab: "Lab", manner: str) -> None:
        self._lab = lab
        self._manner = manner
        self._counter = lab.layout.directory / f"sick-{manner}"
        self.url = f"https://{lab.discovery.addresses.ipv4}:{_PORT}"

    def __enter__(self) -> "SickService":
        self._counter.write_text("")
        directory = self._lab.layout.directory
        self._process = subprocess.Popen(
            [
                "nsenter",
                f"--net=/run/netns/{self._lab.layout.discovery}",
                sys.executable,
                __file__,
                self._manner,
                str(_PORT),
                str(directory / "discovery.pem"),
                str(directory / "discovery.key"),
                str(self._counter),
            ],
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        self._process.stdout.readline()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    def asked(self) -> int:
        """How many connections it has had."""
        return len(self._counter.read_text())


_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
_CHUNKED = _HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


def _answer(connection: ssl.SSLSocket, manner: str) -> None:
    connection.recv(65536)
    if manner == "hangs":
        time.sleep(3600)
    elif manner == "garbage":
        connection.sendall(bytes(range(256)) * 64)
    elif manner == "closes-mid-body":
        connection.sendall(_HEAD + b'Content-Length: 1000\r\n\r\n{"revision":"x-1","nodes":[')
    elif manner == "endless-line":
        connection.sendall(_CHUNKED)
        while True:
            connection.sendall(b"10000\r\n" + b"a" * 65536 + b"\r\n")
    elif manner == "endless-body":
        connection.sendall(_CHUNKED)
        block = b'{"type":"bookmark","revision":"x-1"}\n' * 100
        while True:
            connection.sendall(f"{len(block):x}\r\n".encode() + block + b"\r\n")
    elif manner == "wrong-json":
        body = b'{"revision":{"a":[1]},"nodes":[{"node":7},null,"x",{"payload":"%%%"}]}'
        connection.sendall(_HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)


def _serve(manner: str, port: int, certificate: str, key: str, counter: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
    print("ready", flush=True)

    def handle(plain: socket.socket) -> None:
        try:
            with context.wrap_socket(plain, server_side=True) as connection:
                with counter.open("a") as file:
                    file.write("x")
                _answer(connection, manner)
        except OSError:
            plain.close()

    while True:
        threading.Thread(target=handle, args=(server.accept()[0],), daemon=True).start()


if __name__ == "__main__":
    _serve(sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4], Path(sys.argv[5]))
