# SPDX-License-Identifier: Apache-2.0
"""Makes a pair of netkit devices (drivers/net/netkit.c), which Debian 12's ip(8) can't: run as a program.

    netkit.py l2|l3 DEVICE PEER /run/netns/NAMESPACE      the peer goes into that namespace
"""

import os
import socket
import struct
import sys

_NLMSG_ERROR, _RTM_NEWLINK = 2, 16
_FLAGS = 0x1 | 0x4 | 0x200 | 0x400  # request, ack, excl, create
_IFLA_IFNAME, _IFLA_LINKINFO, _IFLA_NET_NS_FD = 3, 18, 28
_INFO_KIND, _INFO_DATA = 1, 2
_NETKIT_PEER_INFO, _NETKIT_MODE = 1, 5
_MODES = {"l2": 0, "l3": 1}


def _attribute(kind: int, payload: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(payload), kind) + payload + bytes(-len(payload) % 4)


def _name(name: str) -> bytes:
    return _attribute(_IFLA_IFNAME, name.encode() + b"\0")


def make(mode: str, device: str, peer: str, namespace: str) -> None:
    link = struct.pack("=BxHiII", socket.AF_UNSPEC, 0, 0, 0, 0)  # struct ifinfomsg
    fd = os.open(namespace, os.O_RDONLY)
    other = link + _name(peer) + _attribute(_IFLA_NET_NS_FD, struct.pack("=i", fd))
    data = _attribute(_NETKIT_PEER_INFO, other) + _attribute(_NETKIT_MODE, struct.pack("=I", _MODES[mode]))
    info = _attribute(_INFO_KIND, b"netkit\0") + _attribute(_INFO_DATA, data)
    body = link + _name(device) + _attribute(_IFLA_LINKINFO, info)
    header = struct.pack("=IHHII", 16 + len(body), _RTM_NEWLINK, _FLAGS, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as rtnetlink:
        rtnetlink.send(header + body)
        reply = rtnetlink.recv(65536)
    kind, error = struct.unpack_from("=4xH10xi", reply)
    if kind != _NLMSG_ERROR or error != 0:
        sys.exit(f"netkit: {os.strerror(-error)}")


if __name__ == "__main__":
    make(*sys.argv[1:])
