# SPDX-License-Identifier: Apache-2.0
"""TC programs on a device: asked for by BPF_PROG_QUERY, and some of somebody else's.

Run as a program (`hooks.py DEVICE egress|ingress first|last|filter`) it holds a program there, by TCX or
as a clsact filter, that counts packets and lets them go on, until its standard input closes, and then
prints how many those were. The filter stays.
"""

import ctypes
import os
import platform
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable

_MAP_CREATE, _MAP_LOOKUP, _PROG_LOAD, _OBJ_PIN = 0, 1, 5, 6
_PROG_FD_BY_ID, _GET_INFO, _PROG_QUERY, _LINK_CREATE = 13, 15, 16, 28
_ARRAY, _SCHED_CLS = 2, 3
_TCX = {"ingress": 46, "egress": 47}
_BEFORE, _AFTER = 1 << 3, 1 << 4
_SYSCALL = {"x86_64": 321, "aarch64": 280}
_libc = ctypes.CDLL(None, use_errno=True)


def _bpf(command: int, attributes: "bytes | ctypes.Array[ctypes.c_char]") -> int:
    buffer = ctypes.create_string_buffer(attributes, 128) if isinstance(attributes, bytes) else attributes
    result = _libc.syscall(_SYSCALL[platform.machine()], command, buffer, len(buffer))
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return int(result)


def programs_at(device: str, hook: str) -> list[str] | None:
    """Names in the order in which they run, by TCX; of the calling thread's network namespace.

    None: there is no such device.
    """
    ids = (ctypes.c_uint32 * 32)()
    query = ctypes.create_string_buffer(64)
    try:
        ifindex = socket.if_nametoindex(device)
        struct.pack_into("<IIIIQI", query, 0, ifindex, _TCX[hook], 0, 0, ctypes.addressof(ids), len(ids))
        _bpf(_PROG_QUERY, query)
    except OSError:
        return None
    count = struct.unpack_from("<I", query, 24)[0]
    return [_name(ids[i]) for i in range(count)]


def _name(program: int) -> str:
    try:
        fd = _bpf(_PROG_FD_BY_ID, struct.pack("<I", program))
    except OSError:
        return ""  # just gone
    try:
        info = ctypes.create_string_buffer(232)
        _bpf(_GET_INFO, struct.pack("<IIQ", fd, len(info), ctypes.addressof(info)))
        return info.raw[64:80].split(b"\0")[0].decode()  # bpf_prog_info.name
    finally:
        os.close(fd)


class Foreign:
    """`with Foreign(command, device, hook, place) as other: ...`; other.count() tells how many it saw."""

    def __init__(
        self, command: Callable[[list[str]], list[str]], device: str, hook: str, place: str = "last"
    ) -> None:
        self._command = command([sys.executable, __file__, device, hook, place])

    def __enter__(self) -> "Foreign":
        self._process = subprocess.Popen(
            self._command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._process.stdout is not None
        if self._process.stdout.readline().strip() != "attached":
            self._process.wait()
            raise RuntimeError("no program can be attached")
        return self

    def count(self) -> int:
        """So far."""
        assert self._process.stdin and self._process.stdout
        print(file=self._process.stdin, flush=True)
        return int(self._process.stdout.readline())

    def __exit__(self, *_: object) -> None:
        self._process.communicate()


def _instruction(code: int, registers: int = 0, offset: int = 0, value: int = 0) -> bytes:
    return struct.pack("<BBhI", code, registers, offset, value & 0xFFFFFFFF)


def make_counter() -> int:
    return _bpf(_MAP_CREATE, struct.pack("<IIII", _ARRAY, 4, 8, 1))


def read_counter(counter: int) -> int:
    key, value = ctypes.c_uint32(0), ctypes.c_uint64(0)
    _bpf(_MAP_LOOKUP, struct.pack("<IIQQ", counter, 0, ctypes.addressof(key), ctypes.addressof(value)))
    return value.value


def attach(program: int, device: str, hook: str, place: str) -> None:
    """By TCX, as long as this process lives."""
    flags = _BEFORE if place == "first" else _AFTER
    ifindex = socket.if_nametoindex(device)
    _bpf(_LINK_CREATE, struct.pack("<IIII", program, ifindex, _TCX[hook], flags))


class Assembly:
    """A program in the making: r6 holds the packet's context, each call returns the same object."""

    def __init__(self) -> None:
        self._code = [_instruction(0xBF, 0x16)]  # r6 = r1
        self._labels: dict[str, int] = {}
        self._jumps: list[tuple[int, str]] = []

    def _add(self, *instruction: int) -> "Assembly":
        self._code.append(_instruction(*instruction))
        return self

    def label(self, name: str) -> "Assembly":
        self._labels[name] = len(self._code)
        return self

    def _jump(self, to: str, *instruction: int) -> "Assembly":
        self._jumps.append((len(self._code), to))
        return self._add(*instruction)

    def count(self, counter: int) -> "Assembly":
        self._add(0x18, 0x21, 0, counter)._add(0)  # r1 = the value of the map (BPF_PSEUDO_MAP_VALUE)
        return self._add(0xB7, 0x02, 0, 1)._add(0xDB, 0x21)  # r2 = 1; lock *(u64 *)r1 += r2

    def move(self, register: int, value: int) -> "Assembly":
        return self._add(0xB4, register, 0, value)

    def move_register(self, register: int, other: int) -> "Assembly":
        return self._add(0xBF, register | other << 4)

    def wide(self, register: int, value: int) -> "Assembly":
        return self._add(0x18, register, 0, value)._add(0, 0, 0, value >> 32)

    def mask(self, register: int, value: int) -> "Assembly":
        return self._add(0x57, register, 0, value)

    def load_field(self, register: int, base: int, offset: int, size: int) -> "Assembly":
        return self._add({4: 0x61, 8: 0x79}[size], register | base << 4, offset)

    def load_stack(self, register: int, size: int) -> "Assembly":
        """What load_packet() put there."""
        return self.load_field(register, 10, -16, size)

    def stack_address(self, register: int, offset: int) -> "Assembly":
        return self.move_register(register, 10)._add(0x07, register, 0, offset)

    def store(self, offset: int, value: int) -> "Assembly":
        return self._add(0x62, 10, offset, value)

    def load_packet(self, helper: int, offset: int, length: int, otherwise: str) -> "Assembly":
        self.move_register(1, 6).move(2, offset).stack_address(3, -16).move(4, length).call(helper)
        return self._jump(otherwise, 0x55, 0, 0, 0)  # if r0 != 0

    def jump(self, to: str) -> "Assembly":
        return self._jump(to, 0x05)

    def jump_if(self, register: int, value: int, to: str) -> "Assembly":
        return self._jump(to, 0x16, register, 0, value)

    def jump_if_not(self, register: int, value: int, to: str) -> "Assembly":
        return self._jump(to, 0x56, register, 0, value)

    def jump_if_same(self, register: int, other: int, to: str) -> "Assembly":
        return self._jump(to, 0x1D, register | other << 4)

    def call(self, helper: int) -> "Assembly":
        return self._add(0x85, 0, 0, helper)

    def exit(self) -> "Assembly":
        return self._add(0x95)

    def go_on(self) -> "Assembly":
        return self._add(0xB7, 0, 0, -1).exit()  # TCX_NEXT

    def load(self, name: str) -> int:
        for at, to in self._jumps:
            distance = struct.pack("<h", self._labels[to] - at - 1)
            self._code[at] = self._code[at][:2] + distance + self._code[at][4:]
        code = b"".join(self._code)
        text, licence = ctypes.create_string_buffer(code, len(code)), ctypes.create_string_buffer(b"GPL")
        return _bpf(
            _PROG_LOAD,
            struct.pack(
                "<IIQQIIQII16s",
                _SCHED_CLS,
                len(code) // 8,
                ctypes.addressof(text),
                ctypes.addressof(licence),
                0,
                0,
                0,
                0,
                0,
                name.encode()[:15],
            ),
        )


def _hold(device: str, hook: str, place: str) -> None:
    counter = make_counter()
    program = Assembly().count(counter).go_on().load("stranger")
    if place == "filter":
        _add_filter(program, device, hook)
    else:
        attach(program, device, hook, place)
    print("attached", flush=True)
    for _ in sys.stdin:
        print(read_counter(counter), flush=True)
    print(read_counter(counter))


def _add_filter(program: int, device: str, hook: str) -> None:
    pin = f"/sys/fs/bpf/stranger-{os.getpid()}"
    path = ctypes.create_string_buffer(pin.encode())
    _bpf(_OBJ_PIN, struct.pack("<QI", ctypes.addressof(path), program))
    try:
        subprocess.run(["tc", "qdisc", "add", "dev", device, "clsact"], check=False, capture_output=True)
        where = ["tc", "filter", "add", "dev", device, hook, "pref", "1"]
        subprocess.run([*where, "bpf", "direct-action", "object-pinned", pin], check=True)
    finally:
        os.unlink(pin)


def wait_for(condition: Callable[[], bool], timeout: float) -> float | None:
    """Seconds until it holds, looking all the time; None after the time-out."""
    start = time.monotonic()
    while not condition():
        if time.monotonic() - start > timeout:
            return None
        time.sleep(0.0005)
    return time.monotonic() - start


if __name__ == "__main__":
    _hold(sys.argv[1], sys.argv[2], sys.argv[3])
