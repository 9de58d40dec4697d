# SPDX-License-Identifier: Apache-2.0
"""The rules that kube-proxy writes, in its iptables and its nftables mode."""

import hashlib
import ipaddress
import re
from dataclasses import dataclass

from lablib import Node
from lablib.shell import run

from .kube import CLUSTER4, CLUSTER6
from .scenario import Skipped

MODES = ("iptables", "nftables")
_MARK = "0x4000"
# Counts and lets pass: kube-proxy's own rule drops, and only what is forwarded.
_WATCH = """
table inet watch-invalid {
  counter invalid { }
  set tcp4 { typeof iifname . ip saddr . ip daddr . tcp flags; flags dynamic; size 64; }
  set tcp6 { typeof iifname . ip6 saddr . ip6 daddr . tcp flags; flags dynamic; size 64; }
  set other4 { typeof iifname . ip saddr . ip daddr . meta l4proto; flags dynamic; size 64; }
  set other6 { typeof iifname . ip6 saddr . ip6 daddr . meta l4proto; flags dynamic; size 64; }
  chain note {
    # A router's hint to a local pod, for which conntrack finds no flow where it was translated.
    icmpv6 type nd-redirect return
    counter name invalid
    add @tcp4 { iifname . ip saddr . ip daddr . tcp flags }
    add @tcp6 { iifname . ip6 saddr . ip6 daddr . tcp flags }
    add @other4 { iifname . ip saddr . ip daddr . meta l4proto }
    add @other6 { iifname . ip6 saddr . ip6 daddr . meta l4proto }
  }
  chain prerouting { type filter hook prerouting priority -150; ct state invalid jump note; }
  chain output { type filter hook output priority -150; ct state invalid jump note; }
}
"""


@dataclass(frozen=True)
class Service:
    """Of one family, TCP and UDP alike."""

    name: str
    address: str
    port: int
    endpoints: tuple[tuple[str, int], ...]
    node_port: int = 0

    @property
    def six(self) -> bool:
        return ":" in self.address

    def named(self, what: str, protocol: str, endpoint: str = "") -> str:
        """KUBE-SVC-XXXXXXXXXXXXXXXX: 16 of base 32, as kube-proxy's."""
        digest = hashlib.sha256(f"default/{self.name}{protocol}{endpoint}".encode()).hexdigest()
        return f"{what}-{digest[:16].upper()}"


def with_port(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _iptables_service(service: Service, protocol: str) -> tuple[list[str], list[str]]:
    """Chains, and rules of the nat table."""
    svc, ext = service.named("KUBE-SVC", protocol), service.named("KUBE-EXT", protocol)
    length, pods = ("128", CLUSTER6) if service.six else ("32", CLUSTER4)
    what = f'-m comment --comment "default/{service.name} cluster IP"'
    hit = f"-d {service.address}/{length} -p {protocol} -m {protocol} --dport {service.port}"
    chains = [svc]
    rules = [
        f"-A KUBE-SERVICES {hit} {what} -j {svc}",
        f"-A {svc} ! -s {pods} {hit} {what} -j KUBE-MARK-MASQ",
    ]
    if service.node_port:
        chains.append(ext)
        rules += [
            f"-A KUBE-NODEPORTS -p {protocol} -m {protocol} --dport {service.node_port} -j {ext}",
            f"-A {ext} -j KUBE-MARK-MASQ",
            f"-A {ext} -j {svc}",
        ]
    for index, (endpoint, port) in enumerate(service.endpoints):
        sep = service.named("KUBE-SEP", protocol, f"{endpoint}:{port}")
        left = len(service.endpoints) - index
        chance = f" -m statistic --mode random --probability {1 / left:.11f}" if left > 1 else ""
        chains.append(sep)
        rules += [
            f"-A {svc}{chance} -j {sep}",
            f"-A {sep} -s {endpoint}/{length} -j KUBE-MARK-MASQ",
            f"-A {sep} -p {protocol} -m {protocol} -j DNAT --to-destination {with_port(endpoint, port)}",
        ]
    return chains, rules


def _iptables(services: list[Service], six: bool) -> str:
    chains, rules = [], []
    for service in services:
        for protocol in ("tcp", "udp"):
            more = _iptables_service(service, protocol)
            chains += more[0]
            rules += more[1]
    local = "::1/128" if six else "127.0.0.0/8"
    return "\n".join(
        [
            "*filter",
            *(f":{chain} - [0:0]" for chain in ("KUBE-SERVICES", "KUBE-EXTERNAL-SERVICES", "KUBE-FORWARD")),
            *(f":{chain} - [0:0]" for chain in ("KUBE-NODEPORTS", "KUBE-FIREWALL", "KUBE-PROXY-FIREWALL")),
            "-A INPUT -m conntrack --ctstate NEW -j KUBE-PROXY-FIREWALL",
            "-A INPUT -j KUBE-NODEPORTS",
            "-A INPUT -m conntrack --ctstate NEW -j KUBE-EXTERNAL-SERVICES",
            "-A INPUT -j KUBE-FIREWALL",
            "-A FORWARD -m conntrack --ctstate NEW -j KUBE-PROXY-FIREWALL",
            '-A FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD',
            "-A FORWARD -m conntrack --ctstate NEW -j KUBE-SERVICES",
            "-A FORWARD -m conntrack --ctstate NEW -j KUBE-EXTERNAL-SERVICES",
            "-A OUTPUT -m conntrack --ctstate NEW -j KUBE-PROXY-FIREWALL",
            "-A OUTPUT -m conntrack --ctstate NEW -j KUBE-SERVICES",
            "-A OUTPUT -j KUBE-FIREWALL",
            f"-A KUBE-FIREWALL ! -s {local} -d {local} -m conntrack"
            " ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP",
            "-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP",
            f"-A KUBE-FORWARD -m mark --mark {_MARK}/{_MARK} -j ACCEPT",
            "-A KUBE-FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
            "COMMIT",
            "*nat",
            *(f":{chain} - [0:0]" for chain in ("KUBE-SERVICES", "KUBE-NODEPORTS", "KUBE-POSTROUTING")),
            ":KUBE-MARK-MASQ - [0:0]",
            *(f":{chain} - [0:0]" for chain in chains),
            '-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES',
            '-A OUTPUT -m comment --comment "kubernetes service portals" -j KUBE-SERVICES',
            "-A POSTROUTING -j KUBE-POSTROUTING",
            f"-A KUBE-MARK-MASQ -j MARK --or-mark {_MARK}",
            f"-A KUBE-POSTROUTING -m mark ! --mark {_MARK}/{_MARK} -j RETURN",
            f"-A KUBE-POSTROUTING -j MARK --xor-mark {_MARK}",
            "-A KUBE-POSTROUTING -j MASQUERADE --random-fully",
            *rules,
            "-A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS",
            "COMMIT\n",
        ]
    )


def _nft_service(service: Service, protocol: str, family: str) -> tuple[str, list[str], list[str]]:
    """Chains, and elements of the maps by cluster address and by node port."""
    name = service.named("service", protocol).lower()
    pods = CLUSTER6 if service.six else CLUSTER4
    chains, choices = "", []
    for index, (endpoint, port) in enumerate(service.endpoints):
        chain = service.named("endpoint", protocol, f"{endpoint}:{port}").lower()
        chains += f"""
  chain {chain} {{
    {family} saddr {endpoint} jump mark-for-masquerade
    meta l4proto {protocol} dnat to {with_port(endpoint, port)}
  }}"""
        choices.append(f"{index} : goto {chain}")
    chains += f"""
  chain {name} {{
    {family} daddr {service.address} {protocol} dport {service.port} {family} saddr != {pods} jump mark-for-masquerade
    numgen random mod {len(choices)} vmap {{ {", ".join(choices)} }}
  }}"""
    ports = []
    if service.node_port:
        chains += f"""
  chain external-{name} {{
    jump mark-for-masquerade
    goto {name}
  }}"""
        ports.append(f"{protocol} . {service.node_port} : goto external-{name}")
    return chains, [f"{service.address} . {protocol} . {service.port} : goto {name}"], ports


def _elements(items: list[str]) -> str:
    return f"elements = {{ {', '.join(items)} }}" if items else ""


def _nftables(services: list[Service], node: Node, six: bool) -> str:
    family, kind = ("ip6", "ipv6_addr") if six else ("ip", "ipv4_addr")
    chains, clusters, ports = "", [], []
    for service in services:
        for protocol in ("tcp", "udp"):
            more = _nft_service(service, protocol, family)
            chains += more[0]
            clusters += more[1]
            ports += more[2]
    address = node.addresses.ipv6 if six else node.addresses.ipv4
    addresses = sorted({service.address for service in services}, key=ipaddress.ip_address)
    return f"""
table {family} kube-proxy {{
  set cluster-ips {{ type {kind}; {_elements(addresses)} }}
  set nodeport-ips {{ type {kind}; elements = {{ {address} }} }}
  map service-ips {{ type {kind} . inet_proto . inet_service : verdict; }}
  map service-nodeports {{ type inet_proto . inet_service : verdict; }}
  chain mark-for-masquerade {{ meta mark set meta mark or {_MARK}; }}
  chain masquerading {{
    meta mark and {_MARK} == 0 return
    meta mark set meta mark xor {_MARK}
    masquerade fully-random
  }}{chains}
  chain services {{
    {family} daddr . meta l4proto . th dport vmap @service-ips
    {family} daddr @nodeport-ips meta l4proto . th dport vmap @service-nodeports
  }}
  chain cluster-ips-check {{ {family} daddr @cluster-ips reject; }}
  chain filter-forward {{ type filter hook forward priority -110; ct state new jump cluster-ips-check; }}
  chain filter-output {{ type filter hook output priority -90; ct state new jump cluster-ips-check; }}
  chain nat-prerouting {{ type nat hook prerouting priority dstnat; jump services; }}
  chain nat-output {{ type nat hook output priority -100; jump services; }}
  chain nat-postrouting {{ type nat hook postrouting priority srcnat; jump masquerading; }}
}}
{_fill(family, "service-ips", clusters)}
{_fill(family, "service-nodeports", ports)}
"""


def _fill(family: str, name: str, items: list[str]) -> str:
    """A map's verdicts name chains, which must be there first."""
    return f"add element {family} kube-proxy {name} {{ {', '.join(items)} }}" if items else ""


def install(node: Node, services: list[Service], mode: str) -> None:
    """All rules anew."""
    node.run("nft", "flush", "ruleset")
    run(node.command(["nft", "-f", "-"]), stdin=_WATCH)
    for six in (False, True):
        own = [service for service in services if service.six == six]
        if mode == "nftables":
            run(node.command(["nft", "-f", "-"]), stdin=_nftables(own, node, six))
            continue
        restore = node.command(["ip6tables-restore" if six else "iptables-restore"])
        done = run(restore, stdin=_iptables(own, six), check=False)
        if done.returncode != 0 and "extension" in done.stderr:
            raise Skipped(f"this kernel lacks what iptables needs: {done.stderr.strip().splitlines()[0]}")
        if done.returncode != 0:
            raise AssertionError(f"iptables-restore: {done.stderr.strip()}")


def invalid(node: Node) -> tuple[int, str]:
    """How many packets in conntrack's state INVALID the node saw, and which."""
    text = node.run("nft", "list", "table", "inet", "watch-invalid").stdout
    found = re.search(r"packets (\d+)", text)
    which = " ".join(elements for elements in re.findall(r"elements = \{(.*?)\}", text, re.DOTALL))
    return (int(found[1]) if found else -1), " ".join(which.split())
