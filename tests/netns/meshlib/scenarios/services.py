# SPDX-License-Identifier: Apache-2.0
"""Services that break the protocol, refuse everything or are sick: named, and the mesh runs on."""

import contextlib
import json
import time
from pathlib import Path
from typing import Any

from lablib.shell import SLOW

from ..double import Double
from ..forge import MAX_PAYLOAD, Forge, damaged
from ..scenario import Mesh, check, eventually, scenario
from ..sick_service import SickService
from ..undisturbed import undisturbed
from .hostile import add_service, expect_refused, service_of


def broken_lines(forge: Forge) -> list[tuple[str, bytes]]:
    """What isn't an event, by name."""
    sound = forge.entry("unheard")
    event = json.dumps({"type": "put", "revision": "double-1", "node": sound}).encode()
    fat = forge.entry("fat", pad=MAX_PAYLOAD)
    oversized = json.dumps({"type": "put", "revision": "double-1", "node": fat}).encode()
    return [
        ("garbage", b"\x00\xff\xfegarbage\n"),
        ("no JSON", event[: len(event) // 2] + b"\n"),
        ("no event", b'{"type":"put"}\n'),
        ("another type", b'{"type":"purge","revision":"double-1"}\n'),
        ("a revision that goes into a URL", b'{"type":"bookmark","revision":"1 HTTP/1.1\\r\\nX: y"}\n'),
        ("an oversized record", oversized + b"\n"),
        ("an oversized line", b"x" * (33 << 10) + b"\n"),
        ("an endless line", b"x" * (1 << 20)),
        ("deep JSON", b'{"type":' + b"[" * 16000 + b"\n"),
    ]


@scenario(start=False)
def broken_watches_are_opened_again(mesh: Mesh) -> None:
    """A watch that breaks the protocol ends in a fresh list; bad entries of a list spoil no others."""
    one, two = mesh.nodes
    forge = Forge(mesh)
    sound = forge.entry("listed")
    with Double(mesh.lab) as double:
        add_service(mesh, double)
        mesh.lab.start_agents()
        double.await_watchers(2)
        second = double.said_by(two.addresses.ipv4)[-1]
        double.extra = [
            7,
            None,
            "x",
            {},
            [[]],
            {"node": "short"},
            {**sound, "node": sound["node"][:-1]},
            {**sound, "sequence": -1},
            {**sound, "sequence": 2**60},
            {**sound, "ttlSeconds": 5},
            {**sound, "payload": "%%%"},
            {**sound, "observedAddress": "here"},
            forge.entry("fat", pad=MAX_PAYLOAD),
            damaged(forge.entry("forged")),
            second,
            sound,
        ]
        double.tombstones = [damaged(forge.tombstone("listed", sequence=9), "member"), {"node": 1}]
        with undisturbed(mesh):
            for number, (name, content) in enumerate(broken_lines(forge), start=1):
                lists = double.lists
                double.send_raw(content)
                took = eventually(
                    lambda: double.lists >= lists + 2,  # noqa: B023
                    f"{name}: the double isn't asked for a list",
                    timeout=20,
                )
                double.await_watchers(2)
                said = forge.entry(f"sentinel-{number}")
                eventually(
                    lambda: (double.put(said), mesh.peer(one, f"sentinel-{number}"))[1]  # noqa: B023
                    is not None,
                    f"{name}: news isn't read any more",
                    timeout=10,
                )
                print(f"{name}: listed again by both after {took:.2f} s")
            expect_refused(
                mesh,
                one,
                [
                    (forge.entry("forged")["node"], "signature"),
                    (second["node"], "listed twice"),
                    ("an entry", ""),
                    (sound["node"], "member signature"),
                ],
            )
        names = {peer["name"] for peer in one.wglanctl_json("status")["peers"]}
        check("listed" in names, "the sound entry among bad ones isn't taken")
        check(not names & {"forged", "fat", "unheard"}, f"node1 has the peers {names}")


@scenario(start=False)
def floods_leave_the_agent_answering(mesh: Mesh) -> None:
    """Thousands of forged records in a row: the log stays short, questions are answered meanwhile."""
    one, _ = mesh.nodes
    forge = Forge(mesh)
    forged = damaged(forge.entry("forged"))
    strangers = [damaged(forge.entry(f"forged-{n}")) for n in range(20)]
    with Double(mesh.lab) as double:
        add_service(mesh, double)
        mesh.lab.start_agents()
        double.await_watchers(2)
        lines = len(mesh.log(one).splitlines())
        with undisturbed(mesh):
            events = [
                {"type": "put", "revision": "double-1", "node": entry} for entry in [forged, *strangers]
            ]
            flood = b"".join(json.dumps(event).encode() + b"\n" for event in events)
            for _ in range(200):
                double.send_raw(flood)
            double.put(forge.entry("sentinel"))
            start, answers = time.monotonic(), 0
            while mesh.peer(one, "sentinel") is None:
                answers += 1
                check(time.monotonic() - start < 30 * SLOW, "the flood is never over")
            took = time.monotonic() - start
        lines = len(mesh.log(one).splitlines()) - lines
        print(f"{200 * len(events)} forged records in {took:.1f} s, {answers + 1} answers, {lines} log lines")
        check(lines < 100, f"the flood made {lines} log lines")
        # The first answers wait for nothing but the records that were read before them.
        check(took < (answers + 1) * 2 * SLOW, f"{answers + 1} answers took {took:.1f} s")


def hold_sequence(above: int) -> Any:
    """Answers every PUT as a service that holds a later record of that node."""
    return lambda entry: (409, {"error": "a higher one is stored", "sequence": entry["sequence"] + above})


@scenario(start=False)
def refused_writes_are_tried_slowly(mesh: Mesh) -> None:
    """A service that takes nothing, with whatever reason, is named and asked ever more rarely."""
    one, two = mesh.nodes
    client = one.addresses.ipv4
    with Double(mesh.lab) as double:
        add_service(mesh, double)
        mesh.lab.start_agents()
        double.await_watchers(2)
        identity = double.said_by(client)[-1]["node"]

        def asked() -> int:
            return sum(put["node"] == identity for put in double.puts)

        with undisturbed(mesh):
            for status, word in ((403, "token"), (429, "429"), (500, "500")):
                double.answer_put = lambda _: (status, {"error": "not you"})  # noqa: B023
                # A service that lost our record is told again.
                double.delete({"node": identity}, expired=True)
                eventually(
                    lambda: word in service_of(one, double.name)["lastError"],  # noqa: B023
                    f"{status}: the status doesn't say why",
                    timeout=10,
                )
                source = service_of(one, double.name)
                print(f"{status}: {source['state']}: {source['lastError']}")
                check(source["state"] == "degraded", f"{status}: the service is {source['state']}")
                check(mesh.metric(one, f'wglan_source_up{{source="{double.name}"}}') == 0, "the source is up")
            # A sequence that nobody could have reached isn't believed: ours would be used up.
            double.answer_put = hold_sequence(2**50)
            eventually(
                lambda: "can't follow" in service_of(one, double.name)["lastError"],
                "an absurd 409: the status doesn't say why",
                timeout=20,
            )
            check(int(one.wglanctl_json("record")["sequence"]) < 2**20, "the sequence ran away")
            # Each answer has us say it again with a higher sequence, which is refused again.
            double.answer_put = hold_sequence(1000)
            first = asked()
            eventually(lambda: asked() > first, "the record isn't said again", timeout=40)
            took = eventually(lambda: asked() >= first + 5, "the record isn't said again", timeout=40)
            print(f"409: asked 4 times more in {took:.1f} s")
            check(took > 1.5, f"a service that always answers 409 was asked 4 times more in {took:.2f} s")
            eventually(
                lambda: "holds sequence" in service_of(one, double.name)["lastError"],
                "409: the status doesn't say why",
                timeout=10,
            )
            double.answer_put = lambda _: None
            eventually(
                lambda: service_of(one, double.name)["state"] == "synced",
                "the service isn't synced once it takes our record",
                timeout=60,
            )


_SICK_WORDS = {
    "stranger": "certificate",
    "redirects": "302",
    "closes-mid-body": "list",
    "wrong-json": "revision",
}


@scenario(start=False)
def sick_services_hold_up_no_start(mesh: Mesh) -> None:
    """Among fifteen services that are sick in every manner a node starts, joins and runs as with one."""
    one, two = mesh.nodes
    with contextlib.ExitStack() as stack:
        sick = [
            stack.enter_context(SickService(mesh.lab, manner))
            for manner in SickService.MANNERS + SickService.MORE
        ]
        services = [{"url": service.url, "caFile": str(mesh.lab.layout.ca)} for service in sick]
        # First in the list, so that whoever asked one after the other would never reach the good one.
        mesh.reconfigure(
            one, [{"op": "add", "path": "/discovery/services/0", "value": service} for service in services]
        )
        two.agent_start()
        started = time.monotonic()
        one.agent_start()
        print(f"node1 answers after {time.monotonic() - started:.2f} s")
        for node, other in ((one, "node2"), (two, "node1")):
            eventually(
                lambda: mesh.peer_state(node, other) == "up",  # noqa: B023
                f"{other} isn't up at {node.name}",
                timeout=15,
            )
        print(f"both are up after {time.monotonic() - started:.2f} s")
        good = f"service:{mesh.lab.discovery.addresses.ipv4}:51821"
        with undisturbed(mesh):
            for service in sick:
                eventually(
                    lambda: (source := service_of(one, service.name))["state"]  # noqa: B023
                    in ("degraded", "down")
                    and _SICK_WORDS.get(service.manner, "") in source["lastError"],  # noqa: B023
                    f"{service.manner}: the status doesn't say what is wrong",
                    timeout=25,
                )
                source = service_of(one, service.name)
                print(f"{service.manner}: {source['state']}: {source['lastError']}")
                check(source["lastError"] != "", f"{service.manner}: no reason")
                up = mesh.metric(one, f'wglan_source_up{{source="{service.name}"}}')
                check(up == 0, f"{service.manner}: wglan_source_up is {up}")
            check(service_of(one, good)["state"] == "synced", "the good service isn't synced")
        memory = _resident_kib(one.agent_pid() or 0)
        print(f"resident memory: {memory >> 10} MiB")
        check(memory < 256 << 10, f"the agent uses {memory} KiB")


def _resident_kib(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))
