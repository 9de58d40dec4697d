# SPDX-License-Identifier: Apache-2.0
"""Nodes behind NATs; natgrid.py tries every pair of kinds, these are the ones that stand for them."""

import time

from lablib.shell import SLOW

from .. import nat
from ..nat_behaviour import EXPECTED, wrong_kinds_in
from ..nat_pair import GIVE_UP_WITHIN, JOIN_WITHIN, Pair, Trio, peer_of, wait_for_pings
from ..nat_reboot import SURVIVED_WITHIN, reboots
from ..scenario import Mesh, check, scenario


@scenario(nodes=len(EXPECTED) + 1, core=True, start=False)
def nats_of_the_lab_behave_as_named(mesh: Mesh) -> None:
    """Mapping, filtering and hairpinning of each kind, seen with plain sockets: else the grid would lie."""
    wrong = wrong_kinds_in(mesh.lab)
    check(not wrong, "; ".join(wrong))


def _join(mesh: Mesh, one: nat.Kind, two: nat.Kind) -> Trio:
    trio = Trio(mesh.lab, Pair(one, two))
    took = trio.join(since=trio.start(), within=JOIN_WITHIN)
    print(f"{one.name} and {two.name}: joined after {took:.2f} s")
    return trio


@scenario(nodes=3, core=True, start=False)
def two_port_restricted_nats_are_punched(mesh: Mesh) -> None:
    """Neither may be called first: each learns from node3 where the other is seen, and both call."""
    trio = _join(mesh, nat.PORT_RESTRICTED, nat.SHARED)
    for node, other in trio.both:
        peer = peer_of(node, other.name)
        check(peer["state"] == "up" and peer["path"] == "direct", str(peer))
        check(not peer["needsRelay"], f"{node.name} thinks that it needs a relay")
    seen = str(peer_of(trio.one, "node2")["endpoint"])
    check(seen.startswith("192.0.2.102:4"), f"node2 is reached at {seen}, which isn't a port that its NAT chose")


@scenario(nodes=3, core=True, start=False)
def symmetric_nat_reaches_address_restricted_one(mesh: Mesh) -> None:
    """Nobody knows the port that the symmetric one will use: the other lets in whatever comes from there."""
    _join(mesh, nat.SYMMETRIC, nat.ADDRESS_RESTRICTED)


@scenario(nodes=3, start=False)
def double_nat_is_punched(mesh: Mesh) -> None:
    """A home router behind a carrier's NAT, against a home router."""
    _join(mesh, nat.DOUBLE, nat.PORT_RESTRICTED)


@scenario(nodes=3, core=True, start=False)
def nats_that_drop_nothing_are_punched(mesh: Mesh) -> None:
    """Plain masquerades: whatever came to one before its node sent there would shut it."""
    _join(mesh, nat.PLAIN, nat.PLAIN)


@scenario(nodes=3, start=False)
def double_nats_that_drop_nothing_are_punched(mesh: Mesh) -> None:
    """Both NATs of one side have to be opened, and the other side's mustn't be reached meanwhile."""
    _join(mesh, nat.PLAIN_DOUBLE, nat.PLAIN)


@scenario(nodes=3, core=True)
def running_nodes_are_taken_behind_nats(mesh: Mesh) -> None:
    """Two that know each other lose their public addresses at once: what they knew is wrong, and so is what
    their connections to the discovery service come from."""
    one, two, exposed = mesh.lab.nodes.values()
    for node in (one, two):
        nat.put_behind(mesh.lab, node, nat.PORT_RESTRICTED, reach=exposed.addresses.ipv4)
    ways = ((one, two), (two, one), (one, exposed), (exposed, two))
    took = wait_for_pings(ways, since=time.time(), within=JOIN_WITHIN)
    print(f"all reach each other after {took:.1f} s")


@scenario(nodes=4, start=False)
def pair_that_needs_a_relay_says_so(mesh: Mesh) -> None:
    """Symmetric and port-restricted: down on both sides, with the reason; what goes there in clear isn't dropped.

    Two members see the symmetric one at two ports, so it is known whose NAT is to blame.
    """
    trio = Trio(mesh.lab, Pair(nat.SYMMETRIC, nat.PORT_RESTRICTED))
    took = trio.give_up(since=trio.start(), within=GIVE_UP_WITHIN)
    print(f"given up after {took:.1f} s")
    for (node, other), whose in zip(trio.both, ("this node's", "the peer's"), strict=True):
        peer = peer_of(node, other.name)
        reason = str(peer["reason"])
        print(f"{node.name}: {reason}")
        check(peer["state"] == "down", f"{node.name} calls {other.name} {peer['state']}")
        known = f"both nodes are behind NATs, and {whose} uses another port for each destination: a relay is needed"
        check(reason.endswith(known), f"{node.name}'s reason is {reason!r}")
        check(peer["needsRelay"] is True, "needsRelay isn't set")
        check("Relay" in node.wglanctl("peers", other.name).stdout, "wglanctl peers doesn't tell")
        check(mesh.metric(node, "wglan_peers_needing_relay") == 1, "wglan_peers_needing_relay isn't 1")
        check(mesh.metric(node, 'wglan_peers{state="down"}') == 1, 'wglan_peers{state="down"} isn\'t 1')
        verdict = node.wglanctl_json("explain", other.addresses.pod4(10))
        check(verdict["verdict"] == "pass", f"what goes to a peer that never was up: {verdict['verdict']}")
        check(mesh.peer_state(node, "node3") == "up", "node3 is lost")
    # It is looked for on.
    check(peer_of(trio.one, "node2")["nextTrySeconds"] is not None, "nobody tries any more")


@scenario(nodes=3, start=False)
def nat_that_reboots_is_survived(mesh: Mesh) -> None:
    """Mappings are gone and the public address is another: the exposed node and the punched peer find it again."""
    trio = _join(mesh, nat.SHARED, nat.PORT_RESTRICTED)
    for took in reboots(trio, 2, calm=(6.0, 6.0)):
        print(f"the punched peer is back after {took:.1f} s")
        check(took <= SURVIVED_WITHIN * SLOW, f"that took {took:.1f} s")
        check(mesh.peer_state(trio.exposed, "node1") == "up", "the exposed node lost it")
