# SPDX-License-Identifier: Apache-2.0
"""TCP from a pod through a real tunnel: the tunnel stays, the way into it changes."""

import contextlib
import ipaddress
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lablib import LabError
from lablib.shell import ip_batch, run, wait_until

from .methods import METHODS, Site
from .network import FORWARDING, MTU, POD4, POD6, Spaces, connect_pod, prefix4, prefix6, set_sysctls
from .results import Results, Spread
from .worker import Worker

PREFIXES = 1000
_PORT, _LISTEN = 5001, 51820
_MARK = 0x20  # of outer packets: KubeSpan's, and what datapath_worker tells our programs
_DESTINATIONS = {
    4: str(ipaddress.IPv4Network(prefix4(0))[1]),
    6: str(ipaddress.IPv6Network(prefix6(0))[1]),
}


@dataclass(frozen=True)
class Plan:
    methods: Sequence[str]
    families: Sequence[int]
    rounds: int
    seconds: float


def backends(spaces: Spaces) -> list[str]:
    space = spaces.add("probe")
    try:
        kernel = run(["ip", "-n", space, "link", "add", "wg0", "type", "wireguard"], check=False)
    finally:
        spaces.remove([space])
    return ["wireguard-go"] + ["wireguard"] * (kernel.returncode == 0)


def measure(program: Path, spaces: Spaces, plan: Plan, results: Results) -> None:
    for backend in backends(spaces):
        with _tunnel(program, spaces, backend) as (site, far, pod):
            _measure(site, far, pod, backend, plan, results)


def _measure(site: Site, far: str, pod: str, backend: str, plan: Plan, results: Results) -> None:
    rates: dict[tuple[int, str], list[float]] = {}

    def run_once(family: int, seconds: float) -> float:
        how = {"to": far, "address": _DESTINATIONS[family], "port": _PORT, "seconds": seconds}
        return site.worker.call("tcp", **{"from": pod}, **how) / 1e6

    for number in range(plan.rounds):
        first = number % len(plan.methods)
        for name in [*plan.methods[first:], *plan.methods[:first]]:
            METHODS[name].apply(site, PREFIXES)
            for family in plan.families:
                rates.setdefault((family, name), []).append(run_once(family, plan.seconds))
            METHODS[name].remove(site, PREFIXES)
    for (family, name), values in rates.items():
        results.throughput.setdefault(f"{backend}-ipv{family}", {})[name] = Spread(values)


@contextlib.contextmanager
def _tunnel(program: Path, spaces: Spaces, backend: str) -> Iterator[tuple[Site, str, str]]:
    near, pod, far = (spaces.add(name) for name in ("tcp", "tcp-pod", "tcp-far"))
    ends: list[_End] = []
    worker = Worker(program, near, cpu=None)
    try:
        for space in (near, far):
            set_sysctls(space, FORWARDING)
        connect_pod(near, pod)
        ip_batch([f"link add eth0 type veth peer name eth0 netns {far}"], namespace=near)
        for number, space in enumerate((near, far), 1):
            ends.append(_End(space, number, backend))
        ends[0].connect(ends[1])
        ends[1].connect(ends[0])
        ip_batch(
            [
                *(f"address add {address} dev wglan0" for address in _DESTINATIONS.values()),
                f"route add {POD4}/32 dev wglan0",
                f"route add {POD6}/128 dev wglan0",
            ],
            namespace=far,
        )
        yield Site(near, worker, "eth0", "192.0.2.2", "2001:db8::2"), far, pod
    finally:
        worker.close()
        for end in ends:
            end.close()
        spaces.remove([near, pod, far])


class _End:
    def __init__(self, space: str, number: int, backend: str) -> None:
        self._space = space
        self._address = f"192.0.2.{number}"
        self._key = run(["wg", "genkey"]).stdout
        self._daemon: subprocess.Popen[bytes] | None = None
        self._start(backend)
        ip_batch(
            [
                "link set eth0 up",
                f"address add {self._address}/24 dev eth0",
                f"address add 2001:db8::{number}/64 dev eth0 nodad",
                f"link set wglan0 mtu {MTU} up",
                f"address add 10.8.0.{number}/32 dev wglan0",
                f"address add 200:1001::{number}/128 dev wglan0 nodad",
            ],
            namespace=space,
        )

    def _start(self, backend: str) -> None:
        if backend == "wireguard":
            ip_batch(["link add wglan0 type wireguard"], namespace=self._space)
            return
        # The control socket's path is fixed, so each has a /run of its own.
        script = "mount -t tmpfs tmpfs /run && mkdir /run/wireguard && exec wireguard-go -f wglan0"
        self._daemon = subprocess.Popen(
            ["nsenter", f"--net=/run/netns/{self._space}", "unshare", "--mount", "--propagation", "private"]
            + ["sh", "-c", script],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        if not wait_until(lambda: self._wg("show", check=False).returncode == 0, timeout=10):
            raise LabError(f"{self._space}: wireguard-go doesn't start")

    def _wg(self, *words: str, check: bool = True, stdin: str = "") -> subprocess.CompletedProcess[str]:
        where = [f"--net=/run/netns/{self._space}"]
        if self._daemon:
            where = ["-t", str(self._daemon.pid), "-m", "-n"]
        return run(["nsenter", *where, "wg", words[0], "wglan0", *words[1:]], check=check, stdin=stdin)

    def connect(self, other: "_End") -> None:
        public = run(["wg", "pubkey"], stdin=other._key).stdout.strip()
        self._wg(
            *["set", "listen-port", str(_LISTEN), "fwmark", hex(_MARK), "private-key", "/dev/stdin"],
            *["peer", public, "endpoint", f"{other._address}:{_LISTEN}", "allowed-ips", "0.0.0.0/0,::/0"],
            stdin=self._key,
        )

    def close(self) -> None:
        if self._daemon:
            self._daemon.terminate()
            self._daemon.wait()
