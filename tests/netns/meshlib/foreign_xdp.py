# SPDX-License-Identifier: Apache-2.0
"""An XDP program of somebody else, which lets everything pass.

Run as a program (`foreign_xdp.py DEVICE`) it holds one at the device until its standard input closes.
"""

import ctypes
import os
import platform
import socket
import struct
import subprocess
import sys
from collections.abc import Callable

_BPF_PROG_LOAD, _BPF_LINK_CREATE = 5, 28
_BPF_PROG_TYPE_XDP, _BPF_XDP, _XDP_FLAGS_SKB_MODE = 6, 37, 2
_BPF_SYSCALL = {"x86_64": 321, "aarch64": 280}
# r0 = XDP_PASS; exit
_CODE = struct.pack("<BBhi", 0xB7, 0, 0, 2) + struct.pack("<BBhi", 0x95, 0, 0, 0)


class ForeignXdp:
    """`with ForeignXdp(command, device): ...`; `command` as with Flood."""

    def __init__(self, command: Callable[[list[str]], list[str]], device: str) -> None:
        self._command = command([sys.executable, __file__, device])

    def __enter__(self) -> "ForeignXdp":
        self._process = subprocess.Popen(
            self._command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._process.stdout is not None
        if self._process.stdout.readline().strip() != "attached":
            self._process.wait()
            raise RuntimeError("no XDP program can be attached")
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()


def _bpf(command: int, attributes: bytes) -> int:
    buffer = ctypes.create_string_buffer(attributes, 128)
    result = ctypes.CDLL(None, use_errno=True).syscall(
        _BPF_SYSCALL[platform.machine()], command, buffer, len(buffer)
    )
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return int(result)


def _hold(device: str) -> None:
    code, licence = ctypes.create_string_buffer(_CODE, len(_CODE)), ctypes.create_string_buffer(b"GPL")
    program = _bpf(
        _BPF_PROG_LOAD,
        struct.pack(
            "<IIQQIIQII16s",
            _BPF_PROG_TYPE_XDP,
            len(_CODE) // 8,
            ctypes.addressof(code),
            ctypes.addressof(licence),
            0,
            0,
            0,
            0,
            0,
            b"stranger",
        ),
    )
    ifindex = socket.if_nametoindex(device)
    _bpf(_BPF_LINK_CREATE, struct.pack("<IIII", program, ifindex, _BPF_XDP, _XDP_FLAGS_SKB_MODE))
    print("attached", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    _hold(sys.argv[1])
