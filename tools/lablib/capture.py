# SPDX-License-Identifier: Apache-2.0
"""What crosses a lab's underlay: recorded by tcpdump on the bridge, sorted by what a mesh may send."""

import ipaddress
import signal
import struct
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from .errors import LabError
from .layout import DISCOVERY_HOST, DISCOVERY_PORT, Layout, NodeAddresses
from .shell import SLOW, wait_until

WIREGUARD_PORT = 51820
_ARP, _IPV4, _IPV6 = 0x0806, 0x0800, 0x86DD
_IPV6_FRAGMENT = 44
_TCP, _UDP, _ICMPV6 = 6, 17, 58
_NEIGHBOUR_DISCOVERY = range(133, 138)
_MULTICAST_LISTENER = (130, 131, 132, 143)
# WireGuard's message types, little endian with three reserved zero bytes, and their least lengths.
_WIREGUARD_MESSAGES = {b"\1\0\0\0": 148, b"\2\0\0\0": 92, b"\3\0\0\0": 64, b"\4\0\0\0": 32}

WIREGUARD = "WireGuard UDP"
DISCOVERY = "TLS to the discovery service"
ARP = "ARP"
NEIGHBOUR_DISCOVERY = "IPv6 neighbour discovery"
MULTICAST_LISTENER = "IPv6 multicast listener reports"
ALLOWED = (WIREGUARD, DISCOVERY, ARP, NEIGHBOUR_DISCOVERY, MULTICAST_LISTENER)


@dataclass
class Summary:
    allowed: Counter[str] = field(default_factory=Counter)
    foreign: Counter[str] = field(default_factory=Counter)
    frames: int = 0
    missed: int = 0  # frames that the kernel couldn't hand to tcpdump

    def lines(self) -> list[str]:
        return [f"{count:6} {kind}" for kind, count in self.allowed.most_common()] + [
            f"{count:6} IN CLEAR: {kind}" for kind, count in self.foreign.most_common()
        ]


class Capture:
    """`with Capture(layout, file) as capture: ...`, then capture.summary()."""

    def __init__(self, layout: Layout, path: Path, *, frame_bytes: int = 400) -> None:
        self.path = path
        self._frame_bytes = frame_bytes
        self._log = path.with_suffix(".log")
        self._layout = layout
        self._process: subprocess.Popen[bytes] | None = None
        self.missed = 0

    def __enter__(self) -> "Capture":
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    "nsenter",
                    f"--net=/run/netns/{self._layout.underlay}",
                    "tcpdump",
                    "-i",
                    "br0",
                    "-n",
                    "-U",
                    # Else up to a second of frames still in the kernel's ring is lost at the end.
                    "--immediate-mode",
                    "-s",
                    str(self._frame_bytes),
                    "-B",
                    "32768",
                    "-Z",
                    "root",
                    "-w",
                    str(self.path),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        process = self._process
        wait_until(
            lambda: b"listening on" in self._log.read_bytes() or process.poll() is not None, timeout=10
        )
        if process.poll() is not None:
            raise LabError(f"tcpdump: {self._log.read_text().strip()}")
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(timeout=15 * SLOW)
            self._process = None
            for line in self._log.read_text().splitlines():
                if "dropped by kernel" in line:
                    self.missed = int(line.split()[0])

    def summary(self) -> Summary:
        summary = Summary(missed=self.missed)
        wireguard_datagrams: set[bytes] = set()
        for frame in frames(self.path):
            summary.frames += 1
            kind = classify(frame)
            # Only the first fragment of an outer packet has its ports; the rest go by the datagram's name.
            if (name := _fragment_of(frame)) is not None:
                if kind == WIREGUARD:
                    wireguard_datagrams.add(name)
                elif name in wireguard_datagrams and _is_later_fragment(frame):
                    kind = WIREGUARD
            (summary.allowed if kind in ALLOWED else summary.foreign)[kind] += 1
        return summary

    def holds(self, text: bytes) -> bool:
        """True if any frame carries these bytes."""
        return any(text in frame for frame in frames(self.path))


def frames(path: Path) -> Iterator[bytes]:
    """The Ethernet frames of a pcap file in host byte order, as tcpdump writes it."""
    data = path.read_bytes()
    offset = 24
    while offset + 16 <= len(data):
        length = struct.unpack_from("=I", data, offset + 8)[0]
        yield data[offset + 16 : offset + 16 + length]
        offset += 16 + length


def classify(frame: bytes) -> str:
    """One of ALLOWED, or a description of what shouldn't be there."""
    ether_type = int.from_bytes(frame[12:14], "big")
    if ether_type == _ARP:
        return ARP
    if ether_type == _IPV4:
        protocol, payload = frame[23], frame[14 + (frame[14] & 15) * 4 :]
        source, destination = (str(ipaddress.IPv4Address(frame[at : at + 4])) for at in (26, 30))
    elif ether_type == _IPV6:
        protocol, payload = _skip_extensions(frame)
        source, destination = (str(ipaddress.IPv6Address(frame[at : at + 16])) for at in (22, 38))
        if protocol == _ICMPV6 and payload[0] in _NEIGHBOUR_DISCOVERY:
            return NEIGHBOUR_DISCOVERY
        if protocol == _ICMPV6 and payload[0] in _MULTICAST_LISTENER:
            return MULTICAST_LISTENER
    else:
        return f"EtherType {ether_type:#06x}"
    ports = struct.unpack_from(">HH", payload) if protocol in (_TCP, _UDP) and len(payload) >= 4 else (0, 0)
    if protocol == _UDP and WIREGUARD_PORT in ports and _is_wireguard(payload):
        return WIREGUARD
    discovery = NodeAddresses(DISCOVERY_HOST)
    if protocol == _TCP and (
        (destination in (discovery.ipv4, discovery.ipv6) and ports[1] == DISCOVERY_PORT)
        or (source in (discovery.ipv4, discovery.ipv6) and ports[0] == DISCOVERY_PORT)
    ):
        return DISCOVERY
    return f"protocol {protocol} from {source} to {destination}" + (f" port {ports[1]}" if ports[1] else "")


def _fragment_of(frame: bytes) -> bytes | None:
    """What names the datagram that this frame is a fragment of: addresses, protocol, identification."""
    ether_type = int.from_bytes(frame[12:14], "big")
    if ether_type == _IPV4 and int.from_bytes(frame[20:22], "big") & 0x3FFF != 0:
        return frame[26:34] + frame[23:24] + frame[18:20]
    if ether_type == _IPV6 and frame[20] == _IPV6_FRAGMENT:
        return frame[22:54] + frame[54:55] + frame[58:62]
    return None


def _is_later_fragment(frame: bytes) -> bool:
    if int.from_bytes(frame[12:14], "big") == _IPV6:
        return int.from_bytes(frame[56:58], "big") & 0xFFF8 != 0
    return int.from_bytes(frame[20:22], "big") & 0x1FFF != 0


def _skip_extensions(frame: bytes) -> tuple[int, bytes]:
    """Protocol and payload behind hop-by-hop options, and in a datagram's first fragment."""
    protocol, payload = frame[20], frame[54:]
    if protocol == 0:
        protocol, payload = payload[0], payload[(payload[1] + 1) * 8 :]
    if protocol == _IPV6_FRAGMENT and not _is_later_fragment(frame):
        protocol, payload = payload[0], payload[8:]
    return protocol, payload


def _is_wireguard(datagram: bytes) -> bool:
    """By its first bytes and the length in the UDP header: the frame may have been cut when captured."""
    length = int.from_bytes(datagram[4:6], "big") - 8
    return length >= _WIREGUARD_MESSAGES.get(datagram[8:12], 1 << 16)
