# SPDX-License-Identifier: Apache-2.0
"""Services that lie about records: each lie is refused with its reason, and the mesh runs on."""

import base64
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lablib import Node

from ..double import Double
from ..forge import Entry, Forge, damaged, shortened
from ..scenario import Mesh, Skipped, check, eventually, scenario
from ..undisturbed import undisturbed

_DAY = 24 * 3600


def judge_clocks(mesh: Mesh) -> dict[str, str]:
    """Agents started from now on judge the age of records, whatever this host's clock says of itself."""
    preload = Path(mesh.lab.settings.programs) / "wglan-synchronised-clock.so"
    if not preload.exists():
        raise Skipped(f"{preload.name} isn't built (it is part of the tests' build)")
    environment = {"LD_PRELOAD": str(preload)}
    for node in mesh.nodes:
        node.agent_environment = environment
    return environment


def add_service(mesh: Mesh, double: Double) -> None:
    operation = {"op": "add", "path": "/discovery/services/-", "value": double.entry_of_configuration}
    for node in mesh.nodes:
        mesh.reconfigure(node, [operation])


def service_of(node: Node, name: str) -> dict[str, Any]:
    """That source in the node's status."""
    sources = {source["name"]: source for source in node.wglanctl_json("status")["sources"]}
    check(name in sources, f"{node.name} has no source {name}: {sorted(sources)}")
    return dict(sources[name])


def refusals(node: Node) -> list[tuple[str, str]]:
    """Peer, and what was refused with the reason."""
    refused = node.wglanctl_json("status")["refused"]
    return [(refusal["peer"], f"{refusal['prefix']}: {refusal['reason']}") for refusal in refused]


def expect_refused(mesh: Mesh, node: Node, wanted: list[tuple[str, str]]) -> None:
    """Status and log of the node name each peer, with that word in the reason."""

    def missing() -> list[tuple[str, str]]:
        there = refusals(node)
        return [
            (peer, word) for peer, word in wanted if not any(p == peer and word in text for p, text in there)
        ]

    try:
        eventually(lambda: not missing(), "refused", timeout=10)
    finally:
        for peer, text in refusals(node):
            print(f"{node.name} refused {peer} {text}")
        check(not missing(), f"{node.name} doesn't show as refused: {missing()}")
    log = mesh.log(node)
    for peer, _ in wanted:
        check(f"of {peer}: " in log, f"{node.name}'s log doesn't tell of what was refused of {peer}")


def await_peer(mesh: Mesh, node: Node, name: str) -> None:
    """What the double said before this peer has been read by then."""
    eventually(lambda: mesh.peer(node, name) is not None, f"{node.name} doesn't know {name}", timeout=15)


# --- records --------------------------------------------------------------------------------------


def bad_entries(forge: Forge, sound: Entry) -> Iterator[tuple[Entry, str]]:
    """What no reader may believe, each of a node of its own, and a word of the reason."""
    now = int(time.time())
    yield {**forge.entry("alien-place"), "signature": sound["signature"]}, "signature is not that of the node"
    yield {**sound, "node": forge.entry("other-place")["node"]}, "signature is not that of the node"
    yield damaged(forge.entry("forged-member"), "member"), "member signature"
    yield {**forge.entry("later", issued=now), "issued": now + 1}, "signature"
    yield {**forge.entry("higher"), "sequence": 2}, "signature"
    yield shortened(forge.entry("truncated"), 100), "signature"
    yield forge.entry("cut", cut=20), "wrongly sealed"
    yield forge.entry("cut-to-nothing", text="{}", cut=30), "wrongly sealed"
    yield forge.entry("other-token", sealToken="another token of another cluster"), "wrongly sealed"
    yield forge.entry("as-another", record={"identity": sound["node"]}), "claims the identity"
    yield forge.entry("old", issued=now - _DAY - 60), "stale"
    yield forge.entry("future", issued=now + 700), "in the future"
    yield forge.entry("no-json", text="{"), "not JSON"
    yield forge.entry("a-list", text="[]"), "not a JSON object"
    yield forge.entry("deep", text='{"version":1,"labels":' + "[" * 5000 + "]" * 5000 + "}"), "levels deep"
    records: list[tuple[str, dict[str, Any], str]] = [
        ("version", {"version": 0}, "version"),
        ("name", {"name": "no host name/../.."}, "name"),
        ("long-name", {"name": "a" * 300}, "name"),
        ("zero-key", {"publicKey": base64.b64encode(bytes(32)).decode()}, "publicKey"),
        ("short-key", {"publicKey": "c2hvcnQ="}, "publicKey"),
        ("ipv4-address", {"address": "203.0.113.1"}, "address"),
        ("host-bits", {"podPrefixes": ["10.99.0.1/24"]}, "podPrefixes"),
        ("loopback", {"prefixes": ["127.0.0.0/8"]}, "prefixes"),
        ("node-address", {"nodeAddresses": ["ff02::1"]}, "nodeAddresses"),
        ("endpoints", {"endpoints": [f"198.18.0.{n}:1" for n in range(65)]}, "endpoints"),
        ("prefixes", {"prefixes": [f"10.{n // 250}.{n % 250}.0/24" for n in range(1025)]}, "prefixes"),
        ("port", {"endpoints": ["198.18.0.1:0"]}, "endpoints"),
        ("label", {"labels": {"zone": "a\nb"}}, "labels"),
        ("types", {"endpoints": "198.18.0.1:1"}, "endpoints"),
    ]
    for node, record, word in records:
        yield forge.entry(f"record-{node}", record=record), word


def say_old_things(forge: Forge, double: Double) -> list[tuple[str, str]]:
    """Rolled back, or said again after it was withdrawn; what is refused of it."""
    fourth, fifth = forge.entry("rolled-back", sequence=4), forge.entry("rolled-back", sequence=5)
    double.put(fifth)
    double.put(fifth)
    double.put(fourth)
    ghost = forge.entry("ghost", sequence=4)
    double.put(ghost)
    double.delete(forge.tombstone("ghost", sequence=4))
    double.put(ghost)
    mortal = forge.entry("mortal", sequence=4)
    double.put(mortal)
    double.delete(damaged(forge.tombstone("mortal", sequence=5), "signature"))
    return [
        (fifth["node"], "rolled back: sequence 4, but 5 was seen"),
        (ghost["node"], "was withdrawn"),
        (mortal["node"], "signature"),
    ]


@scenario(core=True, start=False)
def hostile_service_forges_nothing(mesh: Mesh) -> None:
    """Forged, replayed, rolled-back, stale, truncated and wrongly sealed records change nothing."""
    one, two = mesh.nodes
    forge = Forge(mesh)
    judge_clocks(mesh)
    with Double(mesh.lab) as double:
        add_service(mesh, double)
        mesh.lab.start_agents()
        double.await_watchers(2)
        mesh.reconfigure(one, [{"op": "add", "path": "/advertise/prefixes", "value": ["198.51.100.0/24"]}])
        eventually(
            lambda: "198.51.100.0/24" in (mesh.peer(two, "node1") or {"prefixes": []})["prefixes"]
            and len(double.said_by(one.addresses.ipv4)) > 1,
            "node1's new prefix isn't known",
            timeout=10,
        )
        first, second = double.said_by(one.addresses.ipv4)[0], double.said_by(two.addresses.ipv4)[-1]
        with undisturbed(mesh):
            double.delete({"node": second["node"]}, expired=True)
            double.put(second)
            double.put(second)
            double.put(first)
            double.put(damaged(second))
            double.delete({**second, "payload": ""})
            wanted = say_old_things(forge, double)
            for entry, word in bad_entries(forge, second):
                double.put(entry)
                wanted.append((entry["node"], word))
            double.put(forge.entry("sentinel"))
            for node in mesh.nodes:
                await_peer(mesh, node, "sentinel")
            expect_refused(mesh, one, [(second["node"], "signature"), *wanted])
            expect_refused(mesh, two, [(first["node"], "rolled back"), *wanted])
        for node, other in ((one, "node2"), (two, "node1")):
            names = {peer["name"] for peer in node.wglanctl_json("status")["peers"]}
            check(names == {other, "sentinel", "rolled-back", "mortal"}, f"{node.name} has the peers {names}")
            state = service_of(node, double.name)["state"]
            check(state == "synced", f"{node.name}: the service that lies is {state}")


@scenario(start=False)
def own_record_comes_back(mesh: Mesh) -> None:
    """Our own record, older, newer or withdrawn, is never a peer: we say the present one above it."""
    one, two = mesh.nodes
    forge = Forge(mesh)
    with Double(mesh.lab) as double:
        add_service(mesh, double)
        mesh.lab.start_agents()
        double.await_watchers(2)
        client = one.addresses.ipv4
        identity = double.said_by(client)[-1]["node"]

        def published() -> int:
            return int(double.said_by(client)[-1]["sequence"])

        mesh.reconfigure(one, [{"op": "add", "path": "/node/labels", "value": {"zone": "a"}}])
        eventually(lambda: len(double.said_by(client)) > 1, "the new label isn't published", timeout=10)
        said = double.said_by(client)
        with undisturbed(mesh):
            # The present one needs no answer; an older one means that the service has lost the present.
            for content, answered in ((said[-1], False), (said[0], True)):
                before = len(double.puts)
                double.put(content)
                double.put(forge.entry("sentinel", sequence=before + 1))
                await_peer(mesh, one, "sentinel")
                if answered:
                    eventually(
                        lambda: any(put["node"] == identity for put in double.puts[before:]),  # noqa: B023
                        "the rolled-back service isn't told again",
                        timeout=10,
                    )
            # As after a restored backup of the state directory: nobody but us can have made these.
            seed = str(one.state / "identity.key")
            record = {"name": "node1", "publicKey": one.wglanctl_json("keys", "show")["publicKey"]}
            for step, wish in ((100, {"record": record}), (200, {"tombstone": True})):
                above = published() + step
                own = forge.entry("", seedFile=seed, sequence=above, **wish)
                check(own["node"] == identity, "the forge doesn't speak for node1")
                say = double.delete if "tombstone" in wish else double.put
                say(own, to=client)
                eventually(
                    lambda: published() > above,  # noqa: B023
                    f"node1 doesn't go above sequence {above}",
                    timeout=10,
                )
                print(f"seen {above}, published {published()}")
            double.put(damaged(said[-1]), to=client)
            expect_refused(mesh, one, [(identity, "our own record")])
        check(mesh.peer(one, "node1") is None, "node1 is its own peer")
