# SPDX-License-Identifier: Apache-2.0
"""Members that claim what others hold, and writers whom the service has to refuse."""

import base64
import contextlib
import os
import shutil
import signal
import socket
import time
from collections.abc import Iterator
from typing import Any

from lablib import Node
from lablib.layout import DISCOVERY_PORT
from lablib.namespaces import inside
from lablib.shell import wait_until

from ..forge import MAX_PAYLOAD, Entry, Forge, damaged, shortened
from ..scenario import Mesh, check, eventually, scenario
from ..undisturbed import undisturbed
from .hostile import await_peer, judge_clocks, refusals, service_of

# Higher than any other: where two nodes meet on one overlay address, the lower key keeps it.
_HIGH_KEY = base64.b64encode(b"\xff" * 31 + b"\x7f").decode()


@scenario(core=True)
def claims_on_others_are_refused(mesh: Mesh) -> None:
    """Name, key, address, pods and prefixes of a node that is up stay its own, whoever claims them."""
    one, two = mesh.nodes
    forge = Forge(mesh)
    victim = two.wglanctl_json("status")["node"]
    pods4, pods6 = two.addresses.pod_prefix4, two.addresses.pod_prefix6
    first_half = pods4.replace("/24", "/25")
    # Record, what node1 shows as refused, what node2, whose it is, shows.
    claims: list[tuple[str, dict[str, Any], str, str]] = [
        ("name", {"name": "node2"}, "name is held by", "name of this node"),
        ("key", {"publicKey": victim["publicKey"]}, "belongs to identity", "public key of this node"),
        (
            "address",
            {"address": victim["address"], "publicKey": _HIGH_KEY},
            "held by node2",
            "overlay address of this node",
        ),
        ("pods", {"podPrefixes": [pods4, pods6]}, "held by node2", "this node"),
        ("part", {"prefixes": [first_half]}, f"inside {pods4}", "this node"),
        ("one-pod", {"prefixes": [f"{mesh.pod(two).ipv4}/32"]}, f"inside {pods4}", "this node"),
        ("host", {"nodeAddresses": [two.addresses.ipv4]}, "held by node2", "this node"),
        ("as-prefix", {"prefixes": [f"{two.addresses.ipv6}/128"]}, "that this node is on", "this node"),
        ("everything", {"prefixes": ["0.0.0.0/0", "::/0"]}, "default route", "default route"),
        ("halves", {"prefixes": ["0.0.0.0/1", "128.0.0.0/1"]}, "as wide as", "as wide as"),
        ("underlay", {"prefixes": ["192.0.2.0/25"]}, "a network that this node is on", "a network that"),
        ("service", {"nodeAddresses": [mesh.lab.discovery.addresses.ipv4]}, "depends on", "depends on"),
        ("overlay", {"prefixes": ["200:1001::/65"]}, "inside the overlay network", "inside the overlay"),
        ("outside", {"address": "2001:db8:bad::1"}, "outside the overlay network", "outside the overlay"),
        (
            "own-tunnel",
            {"podPrefixes": ["10.66.0.0/24"], "endpoints": ["10.66.0.9:51820"]},
            "tunnel inside a tunnel",
            "tunnel inside a tunnel",
        ),
        (
            "others-endpoint",
            {"podPrefixes": ["198.51.100.0/24"]},
            "a pod prefix around 198.51.100.7",
            "a pod prefix around 198.51.100.7",
        ),
    ]
    put(forge, forge.entry("victim", record={"endpoints": ["198.51.100.7:51820"]}))
    for node in mesh.nodes:
        await_peer(mesh, node, "victim")
    with undisturbed(mesh):
        for name, record, _, _ in claims:
            put(forge, forge.entry(f"claims-{name}", record=record))
        # Two records of one name and one key among themselves.
        for node in ("twin-a", "twin-b"):
            put(forge, forge.entry(node, record={"name": "twin", "podPrefixes": ["10.67.0.0/24"]}))
        put(forge, forge.entry("sentinel"))
        for index, node in enumerate(mesh.nodes):
            await_peer(mesh, node, "sentinel")
            wait_until(lambda: not missing_claims(mesh, claims, index), timeout=10)  # noqa: B023
            missing = missing_claims(mesh, claims, index)
            check(not missing, f"{node.name} doesn't refuse as it should: {missing}")
            reasons = [reason for _, reason in refusals(node)]
            check(
                sum("10.67.0.0/24: held by twin" in reason for reason in reasons) == 1
                and sum(reason.startswith("twin: the name is held") for reason in reasons) == 1,
                f"{node.name}: one of the twins, and one alone, has to be refused",
            )
    routes = {route["prefix"] for route in one.wglanctl_json("routes")["routes"]}
    check(first_half not in routes, f"{first_half} is steered")
    check(first_half in one.wglanctl("routes").stdout, "wglanctl routes doesn't show the refused claims")
    # They leave: nothing is refused any more.
    for name in [*(f"claims-{claim[0]}" for claim in claims), "twin-a", "twin-b"]:
        put(forge, forge.tombstone(name, sequence=2), method="DELETE")
    for node in mesh.nodes:
        eventually(lambda: not refusals(node), f"{node.name} still refuses", timeout=10)  # noqa: B023


def put(forge: Forge, entry: Entry, method: str = "PUT") -> None:
    status, answer = forge.put(entry, method)
    check(status == 200, f"{method}: {status} {answer}")


def missing_claims(mesh: Mesh, claims: list[tuple[str, dict[str, Any], str, str]], index: int) -> list[str]:
    """Claims that this node doesn't show as refused with the reason that is due."""
    there = refusals(mesh.nodes[index])
    missing = []
    for name, _, *words in claims:
        mine = [text for peer, text in there if peer.startswith((f"claims-{name}", "node2~"))]
        if not any(words[index] in text for text in mine):
            missing.append(f"{name} ({words[index]}): {mine}")
    return missing


# --- the service ----------------------------------------------------------------------------------


def bad_writes(forge: Forge, sound: Entry) -> Iterator[tuple[str, Entry, int, str]]:
    """What it is, the entry, and the service's answer to it."""
    now = int(time.time())
    stranger = forge.entry("stranger")
    yield "forged", damaged(stranger), 403, "signature"
    yield "no member's", damaged(stranger, "member"), 403, "member"
    yield "another cluster's", forge.entry("stranger", token="the token of another cluster"), 403, "memberKey"
    yield "another's signature", {**sound, "node": stranger["node"]}, 403, "signature"
    yield "another's place", forge.entry("stranger", **{"as": sound["node"]}, sequence=99), 403, "signature"
    yield "changed", {**stranger, "sequence": 2}, 403, "signature"
    yield "truncated", shortened(stranger, 50), 403, "signature"
    yield "emptied", {**stranger, "payload": ""}, 400, "payload"
    yield "rolled back", forge.entry("known", sequence=4), 409, "higher sequence"
    yield "same number", forge.entry("known", sequence=5), 409, "other content"
    yield "stale", forge.entry("stranger", issued=now - 24 * 3600 - 60), 400, "stale"
    yield "ahead", forge.entry("stranger", issued=now + 700), 400, "future"
    yield "too short a time", forge.entry("stranger", ttlSeconds=29), 400, "ttlSeconds"
    yield "too long a time", forge.entry("stranger", ttlSeconds=3601), 400, "ttlSeconds"
    yield "number zero", forge.entry("stranger", sequence=0), 400, "sequence"
    yield "oversized", forge.entry("stranger", pad=MAX_PAYLOAD), 413, "payload"
    yield "no base64", {**stranger, "signature": "%%%"}, 400, "signature"
    yield "half a signature", {**stranger, "signature": stranger["signature"][:44]}, 400, "signature"
    yield "no numbers", {**stranger, "sequence": "1"}, 400, "sequence"
    yield "nobody", {**stranger, "node": "nobody"}, 400, "node"


def bad_calls(forge: Forge) -> list[tuple[str, str, str | None, int]]:
    nodes = f"/v1/clusters/{forge.cluster}/nodes"
    return [
        ("PUT", f"{nodes}/{'A' * 43}", '{"sequence":', 400),
        ("PUT", f"{nodes}/{'A' * 43}", "[" * 20000, 400),
        ("PUT", f"{nodes}/{'A' * 43}", " " * (64 << 10), 413),
        ("POST", f"{nodes}/{'A' * 43}", "{}", 405),
        ("DELETE", nodes, None, 405),
        ("GET", "/v1/clusters/short/nodes", None, 400),
        ("GET", f"{nodes}/../../../etc/passwd", None, 400),
        ("GET", "/nothing", None, 404),
        ("GET", f"{nodes}?watch=true&since=yesterday", None, 400),
        ("GET", f"{nodes}?watch=true&since={'9' * 200}-1", None, 400),
        ("GET", f"{nodes}?watch=true&since=another-1", None, 410),
    ]


@contextlib.contextmanager
def hostile_callers(mesh: Mesh) -> Iterator[None]:
    """Connections that say nothing, half of something or nonsense, and stay open."""
    contents = [b"", b"\x16\x03\x01\x02\x00", b"GET / HTTP/1.1\r\n", bytes(range(256)) * 64]
    with contextlib.ExitStack() as stack:
        for number in range(120):
            caller = stack.enter_context(
                inside(
                    mesh.lab.layout.discovery,
                    lambda: socket.create_connection(
                        (mesh.lab.discovery.addresses.ipv4, DISCOVERY_PORT),
                        timeout=10,
                        source_address=(f"127.8.0.{number % 4 + 1}", 0),  # noqa: B023
                    ),
                )
            )
            with contextlib.suppress(OSError):  # it may have hung up already
                caller.sendall(contents[number % len(contents)])
        yield


@scenario(start=False)
def service_refuses_bad_writes(mesh: Mesh) -> None:
    """The service answers each bad write with its reason, outlives all callers, and wakes no watcher."""
    forge = Forge(mesh)
    service = mesh.lab.discovery
    service.stop()
    service.environment = judge_clocks(mesh)
    service.start()
    pid = service.pid()
    mesh.lab.start_agents()
    put(forge, forge.entry("known", sequence=5))
    _, listed = forge.call("GET", f"/v1/clusters/{forge.cluster}/nodes")
    sound = next(entry for entry in listed["nodes"] if entry["node"] != forge.entry("known")["node"])
    await_peer(mesh, mesh.nodes[0], "known")
    with undisturbed(mesh):
        for name, entry, status, word in bad_writes(forge, sound):
            got, answer = forge.put(entry)
            print(f"{name}: {got} {answer.get('error')}")
            good = got == status and word in str(answer)
            check(good, f"{name}: {got} {answer}, not {status} with {word!r}")
            check(got != 409 or answer["sequence"] == 5, f"{name}: {answer}")
        for method, path, body, status in bad_calls(forge):
            got, answer = forge.call(method, path, body)
            print(f"{method} {path[:20]}...: {got} {answer.get('error')}")
            check(got == status, f"{method} {path} {(body or '')[:20]}: {got} {answer}, not {status}")
        # One who asks too often is told so, and nobody else suffers from it.
        print(f"too many after {forge.hammer('/v1/x', until=429, most=5000)} calls")
        with hostile_callers(mesh):
            put(forge, forge.entry("sentinel"))
            for node in mesh.nodes:
                await_peer(mesh, node, "sentinel")
        _, after = forge.call("GET", f"/v1/clusters/{forge.cluster}/nodes")
    names = {entry["node"] for entry in after["nodes"]} - {entry["node"] for entry in listed["nodes"]}
    check(names == {forge.entry("sentinel")["node"]}, f"the service holds what it refused: {names}")
    check(service.pid() == pid, "the service ended")
    for node in mesh.nodes:
        check(not refusals(node), f"{node.name} was told of something bad: {refusals(node)}")


# --- copies ---------------------------------------------------------------------------------------


@scenario(nodes=3)
def copied_state_is_named(mesh: Mesh) -> None:
    """A machine cloned with its keys: copy and original are told, nobody is kept busy by the two."""
    one, two, three = mesh.nodes
    forge = Forge(mesh)
    three.agent_stop()
    three.run(*three.agent_command("--cleanup"))
    for name in ("private.key", "identity.key"):
        shutil.copy(two.state / name, three.state / name)
    before = record_sequence(forge, two)
    three.agent_start()
    source = f"service:{mesh.lab.discovery.addresses.ipv4}:{DISCOVERY_PORT}"
    told = "this node's identity"
    start = time.monotonic()
    eventually(
        lambda: any(told in service_of(node, source)["lastError"] for node in (two, three)),
        "neither the original nor the copy is told",
        timeout=60,
    )
    took = time.monotonic() - start
    said = record_sequence(forge, two) - before
    print(f"told after {took:.1f} s; {said} records meanwhile")
    check(said < 10 + took, f"original and copy said {said} records in {took:.1f} s")
    check(one.agent_answers() and mesh.peer(one, "node1") is None, "node1 suffers")
    # The mend that the message names.
    three.agent_stop()
    for name in ("private.key", "identity.key"):
        (three.state / name).unlink()
    three.agent_start()
    # The sessions of the two overwrote one another: they last until WireGuard misses an answer.
    for node in (two, three):
        took = eventually(
            lambda: mesh.ping(one, node.addresses.ipv4, count=1) == 1  # noqa: B023
            and mesh.peer_state(one, node.name) == "up",  # noqa: B023
            f"node1 doesn't reach {node.name}",
            timeout=120,
        )
        print(f"{node.name} is reached {took:.1f} s later")


def record_sequence(forge: Forge, node: Node) -> int:
    """The sequence of that node's record at the service."""
    identity = node.wglanctl_json("keys", "show")["identity"]
    _, listed = forge.call("GET", f"/v1/clusters/{forge.cluster}/nodes")
    return next((int(entry["sequence"]) for entry in listed["nodes"] if entry["node"] == identity), 0)


@scenario()
def static_peers_that_fail_spoil_no_others(mesh: Mesh) -> None:
    """A static peer's unreadable preshared key, or a claim on a node: named, and mended without a restart."""
    one, two = mesh.nodes
    secret = one.directory / "edge.psk"
    edge = {
        "name": "edge",
        "publicKey": base64.b64encode(b"e" * 32).decode(),
        "prefixes": ["10.9.0.0/24"],
        "endpoints": ["192.0.2.9:51820"],
        "presharedKeyFile": str(secret),
    }
    taker = {"name": "node2", "publicKey": base64.b64encode(b"t" * 32).decode()}

    def refused(peer: str, word: str) -> bool:
        return any(peer in name and word in text for name, text in refusals(one))

    with undisturbed(mesh):
        mesh.reconfigure(one, [{"op": "add", "path": "/discovery/static/-", "value": edge}])
        eventually(lambda: refused("edge", "edge.psk"), "the missing preshared key isn't told", timeout=10)
        check(mesh.peer(one, "edge") is None, "the peer is configured without its preshared key")
        for content in ("", "short\n", "not base64 " * 4):
            secret.write_text(content)
            os.kill(one.agent_pid() or 0, signal.SIGHUP)
            eventually(lambda: refused("edge", "edge.psk"), "the bad preshared key isn't told", timeout=10)
        secret.write_text(base64.b64encode(b"s" * 32).decode() + "\n")
        secret.chmod(0o600)
        os.kill(one.agent_pid() or 0, signal.SIGHUP)
        eventually(lambda: mesh.peer(one, "edge") is not None, "the mended peer isn't taken", timeout=10)
        mesh.reconfigure(one, [{"op": "replace", "path": "/discovery/static/0", "value": taker}])
        eventually(lambda: mesh.peer(one, "edge") is None, "the peer that left the file stays", timeout=10)
        mesh.reconfigure(one, [{"op": "remove", "path": "/discovery/static/0"}])
        eventually(
            lambda: [peer["name"] for peer in one.wglanctl_json("status")["peers"]] == ["node2"],
            "node2 hasn't its name back",
            timeout=10,
        )
