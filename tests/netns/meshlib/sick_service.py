# SPDX-License-Identifier: Apache-2.0
"""A discovery service that misbehaves, with the lab's certificate, beside the good one.

Run as a program: `sick_service.py MANNER PORT CERTIFICATE KEY COUNTER`. Each manner has a port of its own, so
that all can stand side by side.
"""

import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING or __name__ != "__main__":  # as a program it needs none, and has no path to it
    from lablib import Lab, pki

_FIRST_PORT = 51840


class SickService:
    MANNERS = ("hangs", "garbage", "closes-mid-body", "endless-line", "endless-body", "wrong-json")
    # These look sick before there is an answer, or while one is read.
    MORE = (
        "mute",
        "no-tls",
        "stranger",
        "resets",
        "drips",
        "endless-header",
        "redirects",
        "negative-length",
        "huge-chunk",
    )

    def __init__(self, lab: "Lab", manner: str) -> None:
        self._lab = lab
        self.manner = manner
        self._port = _FIRST_PORT + (self.MANNERS + self.MORE).index(manner)
        self._counter = lab.layout.directory / f"sick-{manner}"
        self.url = f"https://{lab.discovery.addresses.ipv4}:{self._port}"
        self.name = f"service:{lab.discovery.addresses.ipv4}:{self._port}"

    def __enter__(self) -> "SickService":
        self._counter.write_text("")
        directory = self._lab.layout.directory
        certificate = "stranger" if self.manner == "stranger" else "discovery"
        if self.manner == "stranger":
            pki.make_authority(directory, directory / "stranger.pem", key=directory / "stranger.key")
        self._process = subprocess.Popen(
            [
                "nsenter",
                f"--net=/run/netns/{self._lab.layout.discovery}",
                sys.executable,
                __file__,
                self.manner,
                str(self._port),
                str(directory / f"{certificate}.pem"),
                str(directory / f"{certificate}.key"),
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
    elif manner == "drips":
        for byte in _HEAD * 1000:
            connection.sendall(bytes([byte]))
            time.sleep(0.2)
    elif manner == "endless-header":
        connection.sendall(_HEAD)
        while True:
            connection.sendall(b"X-More: " + b"a" * 65536 + b"\r\n")
    elif manner == "redirects":
        connection.sendall(b"HTTP/1.1 302 Found\r\nLocation: /v1/elsewhere\r\nContent-Length: 0\r\n\r\n")
    elif manner == "negative-length":
        connection.sendall(_HEAD + b"Content-Length: -1\r\n\r\n{}")
    elif manner == "huge-chunk":
        connection.sendall(_CHUNKED + b"ffffffffffffffff\r\n{}")


def _answer_plain(connection: socket.socket, manner: str) -> bool:
    """True if that was all: there is no TLS in that manner."""
    if manner == "mute":
        time.sleep(3600)
    elif manner == "no-tls":
        connection.recv(65536)
        connection.sendall(_HEAD + b'Content-Length: 2\r\n\r\n{}')
    elif manner == "resets":
        connection.recv(1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    else:
        return False
    connection.close()
    return True


def _serve(manner: str, port: int, certificate: str, key: str, counter: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
    print("ready", flush=True)

    def handle(plain: socket.socket) -> None:
        try:
            with counter.open("a") as file:
                file.write("x")
            if not _answer_plain(plain, manner):
                with context.wrap_socket(plain, server_side=True) as connection:
                    _answer(connection, manner)
        except OSError:
            plain.close()

    while True:
        threading.Thread(target=handle, args=(server.accept()[0],), daemon=True).start()


if __name__ == "__main__":
    _serve(sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4], Path(sys.argv[5]))
