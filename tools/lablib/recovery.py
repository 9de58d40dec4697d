# SPDX-License-Identifier: Apache-2.0
"""Changes of the world, each with the time until two nodes reach each other again.

Measured by pings every 10 ms which cross the tunnel there and back, between overlay addresses, or to the
address of a host that comes back as another node. The time is that from the change to the first ping after
which none is lost.
"""

import ipaddress
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from . import changes
from .lab import Lab
from .node import Node
from .watch import Watch

Step = Callable[[Lab], object]
_NOTHING: Step = lambda lab: None  # noqa: E731
_MOVED4, _MOVED6 = "192.0.2.77", "2001:db8::77"


@dataclass(frozen=True)
class Case:
    name: str
    text: str
    limit: float  # seconds
    change: Step  # the clock starts when it returns, or when it says (a monotonic time)
    restore: Step = _NOTHING
    prepare: Step = _NOTHING  # once, before the agents start
    before: Step = _NOTHING  # each time, before the pings start
    nodes: int = 2
    patch: list[dict[str, object]] = field(default_factory=list)  # of each node's configuration
    starts_before: bool = True  # the clock starts before the change rather than after it
    by_node_address: bool = False  # pinged there, through the tunnel as well: the overlay address goes


CASES: dict[str, Case] = {}


def measure(lab: Lab, case: Case) -> float:
    """The change once, in a lab whose nodes see each other; it is undone, and they do again."""
    one, two = lab.node("node1"), lab.node("node2")
    address = str(two.wglanctl_json("status")["node"]["address"])
    if case.by_node_address:
        address = two.addresses.ipv6
    case.before(lab)
    try:
        with Watch(one.namespace, address) as watch:
            watch.recovered(time.monotonic(), timeout=30)
            began = time.monotonic()
            case.change(lab)
            if not case.starts_before:
                began = time.monotonic()
            return watch.recovered(began, timeout=60)
    finally:
        case.restore(lab)
        lab.wait_ready(timeout=60)


def start(lab: Lab, case: Case) -> None:
    for node in lab.nodes.values():
        changes.configure(node, case.patch)
    case.prepare(lab)
    lab.start_agents()


def _case(case: Case) -> None:
    CASES[case.name] = case


def _two(lab: Lab) -> Node:
    return lab.node("node2")


# --- addresses --------------------------------------------------------------------------------


def _move_away(lab: Lab) -> None:
    two = _two(lab)
    changes.set_addresses(two, remove=[f"{two.addresses.ipv4}/24"], add=[f"{_MOVED4}/24"])


def _move_back(lab: Lab) -> None:
    two = _two(lab)
    changes.set_addresses(two, remove=[f"{_MOVED4}/24"], add=[f"{two.addresses.ipv4}/24"])
    if not lab.discovery.pid():
        lab.discovery.start()


def _family_in_use(lab: Lab) -> str:
    """By which node1 reaches node2."""
    (peer,) = (p for p in lab.node("node1").wglanctl_json("status")["peers"] if p["state"] == "up")
    host = str(peer["endpoint"]).rpartition(":")[0].strip("[]")
    return f"ipv{ipaddress.ip_address(host).version}"


def _address(node: Node, family: str) -> str:
    return f"{node.addresses.ipv4}/24" if family == "ipv4" else f"{node.addresses.ipv6}/64"


def _addresses_back(lab: Lab) -> None:
    for node in lab.nodes.values():
        there = node.run("ip", "addr", "show", "dev", "eth0").stdout
        missing = [_address(node, family) for family in ("ipv4", "ipv6")]
        changes.set_addresses(node, add=[address for address in missing if f" {address} " not in there])
    _discovery_again(lab)


def _no_ipv6(lab: Lab) -> None:
    for node in lab.nodes.values():
        changes.set_addresses(node, remove=[f"{node.addresses.ipv6}/64"])


def _no_discovery(lab: Lab) -> None:
    lab.discovery.kill()


def _discovery_again(lab: Lab) -> None:
    if not lab.discovery.pid():
        lab.discovery.start()


_case(
    Case(
        "own_address",
        "a node's only address changes, its agent runs",
        1.0,
        _move_away,
        _move_back,
        prepare=_no_ipv6,
    )
)
_case(
    Case(
        "own_address_no_discovery",
        "the same, the discovery service down",
        1.0,
        _move_away,
        _move_back,
        prepare=_no_ipv6,
        before=_no_discovery,
    )
)


def _lose_address(lab: Lab) -> None:
    family = _family_in_use(lab)
    _two(lab).agent_kill()
    changes.set_addresses(_two(lab), remove=[_address(_two(lab), family)])


def _get_it_back(lab: Lab) -> None:
    _addresses_back(lab)
    if not _two(lab).agent_pid():
        _two(lab).agent_start()


_case(
    Case(
        "address_lost_agent_dead",
        "a node loses the address in use, its agent is dead, another is known",
        10.0,
        _lose_address,
        _get_it_back,
    )
)


def _lose_family(lab: Lab) -> None:
    family = _family_in_use(lab)
    for node in lab.nodes.values():
        changes.set_addresses(node, remove=[_address(node, family)])


_case(
    Case(
        "family_ends_no_discovery",
        "dual stack loses the family in use at both ends, the discovery service down",
        2.0,
        _lose_family,
        _addresses_back,
        before=_no_discovery,
    )
)


def _to_ipv6(lab: Lab) -> None:
    for node in lab.nodes.values():
        changes.set_addresses(
            node, remove=[f"{node.addresses.ipv4}/24"], add=[f"{node.addresses.ipv6}/64"]
        )


def _to_ipv4(lab: Lab) -> None:
    for node in lab.nodes.values():
        changes.set_addresses(
            node, remove=[f"{node.addresses.ipv6}/64"], add=[f"{node.addresses.ipv4}/24"]
        )


def _both_services(lab: Lab) -> None:
    port = lab.discovery.url.rpartition(":")[2]
    services = [
        {"url": f"https://{host}:{port}", "caFile": str(lab.layout.ca)}
        for host in (lab.discovery.addresses.ipv4, f"[{lab.discovery.addresses.ipv6}]")
    ]
    for node in lab.nodes.values():
        changes.configure(node, [{"op": "replace", "path": "/discovery/services", "value": services}])


def _ipv4_alone(lab: Lab) -> None:
    _both_services(lab)
    _no_ipv6(lab)


def _ipv6_alone(lab: Lab) -> None:
    _both_services(lab)
    for node in lab.nodes.values():
        changes.set_addresses(node, remove=[f"{node.addresses.ipv4}/24"])


_case(
    Case("ipv4_to_ipv6", "IPv4 alone to IPv6 alone, both ends at once", 5.0, _to_ipv6, _to_ipv4, _ipv4_alone)
)
_case(
    Case("ipv6_to_ipv4", "IPv6 alone to IPv4 alone, both ends at once", 5.0, _to_ipv4, _to_ipv6, _ipv6_alone)
)

# --- cables -----------------------------------------------------------------------------------


def _flap(lab: Lab) -> None:
    changes.link_down(_two(lab))
    time.sleep(1)
    changes.link_up(_two(lab))


_case(
    Case("link_flap", "a device down for 1 s; from when it is up", 1.0, _flap, starts_before=False)
)


def _lose_carrier(lab: Lab) -> None:
    changes.unplug(lab, _two(lab))
    time.sleep(random.uniform(15, 25))
    changes.plug_in(lab, _two(lab))


_case(
    Case(
        "carrier_lost",
        "a cable out for 20 s or so; from when it is in",
        6.0,
        _lose_carrier,
        starts_before=False,
    )
)


def _cut(lab: Lab) -> None:
    changes.cut(lab, _two(lab))
    time.sleep(random.uniform(15, 25))  # back-offs are met in any phase
    changes.mend(lab, _two(lab))


_case(
    Case(
        "path_cut",
        "a path dead for 20 s or so, unseen by any device; from its mend",
        8.0,
        _cut,
        starts_before=False,
    )
)
_case(
    Case(
        "path_cut_no_discovery",
        "the same, the discovery service down",
        8.0,
        _cut,
        _discovery_again,
        before=_no_discovery,
        starts_before=False,
    )
)


def _two_uplinks(lab: Lab) -> None:
    """node1 on two networks, node2 on a third one, the underlay routes: IPv4 alone."""
    _no_ipv6(lab)
    one, two = lab.node("node1"), _two(lab)
    changes.set_gateway(lab, "br0", "192.0.2.254/24")
    changes.add_network(lab, "br1", "198.51.100.254/24")
    changes.add_network(lab, "br2", "203.0.113.254/24")
    changes.add_uplink(lab, one, "eth1", "br1", "198.51.100.1/24")
    changes.mend(lab, two, "br2")
    changes.set_addresses(two, remove=[f"{two.addresses.ipv4}/24"], add=["203.0.113.2/24"])
    for namespace, route in (
        (one.namespace, "default via 192.0.2.254"),
        (two.namespace, "default via 203.0.113.254"),
        (lab.layout.discovery, "default via 192.0.2.254"),
    ):
        changes.ip_batch([f"route replace {route}"], namespace=namespace)


def _fail_over(lab: Lab) -> None:
    one = lab.node("node1")
    changes.cut(lab, one)
    changes.ip_batch(["route replace default via 198.51.100.254"], namespace=one.namespace)


def _fail_back(lab: Lab) -> None:
    one = lab.node("node1")
    changes.mend(lab, one)
    changes.ip_batch(["route replace default via 192.0.2.254"], namespace=one.namespace)


_case(
    Case(
        "uplink_moved",
        "the default route moves to another uplink, the old one is dead",
        1.0,
        _fail_over,
        _fail_back,
        _two_uplinks,
    )
)

# --- one direction ----------------------------------------------------------------------------


def _nothing_dropped(lab: Lab) -> None:
    for node in lab.nodes.values():
        changes.drop_nothing(node)


def _blackhole(lab: Lab, hook: str) -> None:
    changes.drop(_two(lab), f"meta nfproto {_family_in_use(lab)} udp dport 51820", hook=hook)


_case(
    Case(
        "blackhole_in",
        "the path dead towards a node, one of the other family is known",
        10.0,
        lambda lab: _blackhole(lab, "prerouting"),
        _nothing_dropped,
    )
)
_case(
    Case(
        "blackhole_out",
        "the path dead from a node, one of the other family is known",
        10.0,
        lambda lab: _blackhole(lab, "output"),
        _nothing_dropped,
    )
)

# --- agents and hosts -------------------------------------------------------------------------


def _restart_agents(lab: Lab) -> None:
    for node in lab.nodes.values():
        node.agent_kill()
    for node in lab.nodes.values():
        node.agent_launch()
    for node in lab.nodes.values():
        node.agent_await()


_case(Case("agents_restarted", "both agents killed and started", 0.5, _restart_agents))
_case(
    Case(
        "agents_restarted_no_discovery",
        "the same, the discovery service down",
        0.5,
        _restart_agents,
        _discovery_again,
        before=_no_discovery,
    )
)


def _reboot(lab: Lab) -> None:
    changes.power_off(_two(lab))
    time.sleep(1)
    _two(lab).agent_launch()


_case(
    Case(
        "rebooted",
        "a host reboots, its key is kept; from its agent's start",
        2.0,
        _reboot,
        starts_before=False,
    )
)
_case(
    Case(
        "rebooted_no_discovery",
        "the same, the discovery service down",
        2.0,
        _reboot,
        _discovery_again,
        before=_no_discovery,
        starts_before=False,
    )
)


def _replace(lab: Lab) -> None:
    changes.power_off(_two(lab))
    changes.wipe_state(_two(lab))
    time.sleep(1)
    _two(lab).agent_launch()


_case(
    Case(
        "new_key",
        "a host comes back with another key at its address; from its agent's start",
        12.0,
        _replace,
        starts_before=False,
        by_node_address=True,
    )
)
