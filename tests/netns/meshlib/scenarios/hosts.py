# SPDX-License-Identifier: Apache-2.0
"""Hosts that lack something, or where another was first: said clearly, and nothing half done."""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator

from lablib import Node

from ..forge import Forge, damaged
from ..scenario import Mesh, check, eventually, scenario
from ..undisturbed import undisturbed
from .input import refuse

_STATE = "/var/lib/wglan"
_NOBODY = 65534


def without(*capabilities: str) -> tuple[str, ...]:
    """Words that run the rest of the command line without these."""
    dropped = ",".join(f"-{capability}" for capability in capabilities)
    return ("setpriv", "--bounding-set", dropped, "--inh-caps", dropped)


# --- files ----------------------------------------------------------------------------------------


@scenario(nodes=1, core=True, start=False)
def unreadable_files_are_named(mesh: Mesh) -> None:
    """Keys, token, state directory that can't be read or written: which, why, and nothing is replaced."""
    one = mesh.nodes[0]
    powerless = without("dac_override", "dac_read_search", "fowner")
    one.agent_start()
    one.agent_stop()
    one.run(*one.agent_command("--cleanup"))
    for name in ("private.key", "identity.key"):
        file = one.state / name
        content = file.read_text()
        os.chown(file, _NOBODY, _NOBODY)
        refuse(mesh, one, status=1, wanted=(name, "EACCES", "never made anew"), prefix=powerless)
        check(file.read_text() == content, f"{name} was replaced")
        aside = file.rename(file.with_suffix(".aside"))
        file.symlink_to("nowhere")
        refuse(mesh, one, status=1, wanted=(name, "ENOENT", "never made anew"))
        check(file.is_symlink(), f"{name} was replaced")
        file.unlink()
        os.chown(aside, 0, 0)
        aside.rename(file)
    token = mesh.lab.layout.token
    os.chown(token, _NOBODY, _NOBODY)
    refuse(mesh, one, status=2, wanted=("cluster.tokenFile", str(token), "EACCES"), prefix=powerless)
    os.chown(token, 0, 0)
    one.run("mount", "--bind", _STATE, _STATE)
    one.run("mount", "-o", "remount,bind,ro", _STATE)
    refuse(mesh, one, status=1, wanted=(_STATE, "EROFS"))
    one.run("umount", _STATE)
    one.agent_start()


def bad_patches() -> Iterator[tuple[str, bytes, str]]:
    """A configuration patch as editors, disks and people leave it behind, and a word of the message."""
    yield "empty", b"", "patch"
    yield "garbage", b"\x00\xff\xfe garbage", "patch.json"
    yield "truncated", b'[{"op": "add", "path": "/peers/keepal', "patch.json"
    yield "not a patch", b'{"peers": {}}', "patch.json"
    yield "no such place", b'[{"op": "replace", "path": "/a/b", "value": 1}]', "/a/b"
    yield "an unknown key", b'[{"op": "add", "path": "/peers/keepAlive", "value": 1}]', "keepAlive"
    yield "a short token", b'[{"op": "replace", "path": "/cluster", "value": {"token": "short"}}]', "token"
    yield "no token", b'[{"op": "replace", "path": "/cluster", "value": {}}]', "token"
    yield "deep", b"[" * 100000, "patch.json"
    bomb = b"- op: add\n  path: /a\n  value:\n    a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    for level in range(1, 10):
        bomb += f"    a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]\n".encode()
    yield "an exponential one", bomb, "patch.json"
    yield "a huge one", b"[" + b" " * (5 << 20) + b"]", "patch.json"


@scenario()
def bad_files_keep_a_running_agent(mesh: Mesh) -> None:
    """Whatever a configuration file turns into while the agent runs: told, and the old settings stay."""
    one, _ = mesh.nodes
    good = one.patch.read_bytes()

    def error() -> str:
        return str(one.wglanctl_json("status")["settings"]["error"])

    with undisturbed(mesh):
        for name, content, word in bad_patches():
            one.patch.write_bytes(content)
            eventually(lambda: word in error(), f"{name}: the status doesn't tell", timeout=10)  # noqa: B023
            said = error()
            print(f"{name}: {said[:160]}")
            check(said in mesh.log(one), f"{name}: the log doesn't tell")
            check(mesh.metric(one, "wglan_config_valid") == 0, f"{name}: wglan_config_valid isn't 0")
            mesh.write_patch(one, good.decode())
            eventually(lambda: error() == "", f"{name}: the good file isn't taken again", timeout=10)
        one.patch.unlink()
        os.kill(one.agent_pid() or 0, signal.SIGHUP)
        eventually(lambda: "ENOENT" in error(), "a file that is gone isn't told", timeout=10)
        mesh.write_patch(one, good.decode())
        os.kill(one.agent_pid() or 0, signal.SIGHUP)
        eventually(lambda: error() == "", "the good file isn't taken again", timeout=10)
        check(mesh.metric(one, "wglan_config_valid") == 1, "wglan_config_valid isn't 1 again")


@scenario(core=True)
def full_disks_leave_the_mesh_running(mesh: Mesh) -> None:
    """The state directory fills up: news goes out all the same, and the log and status tell."""
    one, two = mesh.nodes
    prefix = "198.51.100.0/24"

    def known() -> bool:
        return prefix in (mesh.peer(two, "node1") or {"prefixes": []})["prefixes"]

    with undisturbed(mesh):
        one.run("mount", "-t", "tmpfs", "-o", "size=4k,nr_inodes=3", "full", _STATE)
        one.run("sh", "-c", f"head -c 4096 /dev/zero > {_STATE}/filler", check=False)
        mesh.reconfigure(one, [{"op": "add", "path": "/advertise/prefixes", "value": [prefix]}])
        eventually(known, "node2 isn't told of the new prefix", timeout=10)
        eventually(
            lambda: "sequence" in mesh.log(one) and "ENOSPC" in mesh.log(one),
            "the log doesn't tell of the full disk",
            timeout=10,
        )
        print(next(line for line in mesh.log(one).splitlines() if "ENOSPC" in line))
        one.run("umount", _STATE)
        mesh.reconfigure(one, [{"op": "remove", "path": "/advertise/prefixes"}])
        eventually(lambda: not known(), "node2 isn't told that the prefix is gone", timeout=10)
        stored = int((one.state / "sequence").read_text())
        check(stored == int(one.wglanctl_json("record")["sequence"]), f"sequence {stored} is stored")


@scenario()
def damaged_caches_are_put_aside(mesh: Mesh) -> None:
    """A cache that is truncated, forged, another's or no file at all is told of, and costs no start."""
    one, _ = mesh.nodes
    forge = Forge(mesh)
    cache = one.state / "peers.json"
    eventually(
        lambda: cache.exists() and len(json.loads(cache.read_text())["records"]) == 1,
        "there is no cache of node2's record",
        timeout=10,
    )
    mesh.lab.discovery.stop()
    one.agent_kill()
    good = json.loads(cache.read_text())
    entry = good["records"][0]
    forged, phantom = damaged(entry), forge.entry("phantom")
    unseen = {**good, "records": [entry, phantom]}
    newer = {entry["node"]: {"sequence": entry["sequence"] + 1, "issued": entry["issued"]}}
    cases: list[tuple[str, str, str, bool]] = [
        ("empty", "", "is not used", False),
        ("truncated", cache.read_text()[:500], "is not used", False),
        ("garbage", "\x00\x01garbage", "is not used", False),
        ("another's", json.dumps({**good, "cluster": "0" * 64}), "another cluster token", False),
        ("deep", "[" * 100000, "is not used", False),
        ("forged", json.dumps({**good, "records": [forged]}), "signature", False),
        ("rolled back", json.dumps({**good, "identities": newer}), "not the newest", False),
        ("with more", json.dumps(unseen), "not the newest", True),
    ]
    for name, content, word, used in cases:
        cache.write_text(content)
        before = len(mesh.log(one))
        one.agent_start()
        eventually(
            lambda: (mesh.peer(one, "node2") is not None) == used,  # noqa: B023
            f"{name}: node2 is{' not' if used else ''} known",  # noqa: B023
            timeout=5,
        )
        line = next((x for x in mesh.log(one)[before:].splitlines() if "cache" in x and word in x), None)
        check(line is not None, f"{name}: the log doesn't say {word!r}")
        print(f"{name}: {str(line)[:200]}")
        check(mesh.peer(one, "phantom") is None, f"{name}: a record that was never seen is believed")
        one.agent_kill()
        cache.unlink(missing_ok=True)
    cache.mkdir()
    one.agent_start()
    mesh.lab.discovery.start()
    one.wait_ready(1, timeout=60)


# --- kernel and rights ----------------------------------------------------------------------------


@scenario(nodes=1, core=True, start=False)
def bpf_rights_are_named(mesh: Mesh) -> None:
    """Without the BPF capabilities, or as an ordinary user, the agent names what it lacks."""
    one = mesh.nodes[0]
    refuse(
        mesh,
        one,
        status=1,
        wanted=("CAP_BPF", "CAP_PERFMON", "run it as root"),
        prefix=without("bpf", "perfmon", "sys_admin"),
    )
    nobody = ("setpriv", f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups")
    os.chown(mesh.lab.layout.token, _NOBODY, _NOBODY)
    # Where it was built may be closed to others, as a home folder is.
    one.agent_program = str(shutil.copy(one.program("wglan-agent"), one.directory))
    refuse(mesh, one, status=1, wanted=("CAP_NET_ADMIN", "CAP_BPF", "CAP_PERFMON"), prefix=nobody)
    check(os.listdir(one.state) == [], f"files were made: {os.listdir(one.state)}")


@scenario(nodes=1, core=True, start=False)
def unmountable_bpffs_is_explained(mesh: Mesh) -> None:
    """Neither a BPF file system nor the right to mount one: the message says which command to run."""
    one = mesh.nodes[0]
    one.run("mount", "-t", "tmpfs", "none", "/sys/fs/bpf")
    refuse(
        mesh,
        one,
        status=1,
        wanted=("mount -t bpf bpf /sys/fs/bpf", "bpf.pinPath"),
        prefix=without("sys_admin"),
    )
    one.run("umount", "/sys/fs/bpf")
    one.agent_start()


@scenario(core=True, start=False)
def kernel_btf_is_not_needed(mesh: Mesh) -> None:
    """Kernels without BTF of their own carry the mesh; the maps keep theirs."""
    one, two = mesh.nodes
    for node in mesh.nodes:
        node.run("mount", "-t", "tmpfs", "none", "/sys/kernel/btf")
        check(node.run("ls", "/sys/kernel/btf").stdout == "", "the kernel's BTF is still there")
    mesh.lab.start_agents()
    mesh.expect_ping(one, two.addresses.ipv4)
    mesh.expect_ping(mesh.pod(one), mesh.pod(two).ipv6)
    pinned = "/sys/fs/bpf/wglan/maps/wglan_route4"
    entries = json.loads(one.run("bpftool", "-j", "map", "dump", "pinned", pinned).stdout)
    check("prefix_len" in entries[0]["formatted"]["key"], f"the map has no BTF: {entries[0]}")


# --- devices --------------------------------------------------------------------------------------


@scenario(nodes=1, core=True, start=False)
def device_of_another_owner_is_left_alone(mesh: Mesh) -> None:
    """wglan0 is a WireGuard interface with another's key and peer: the agent says so, and ends."""
    one = mesh.nodes[0]
    daemon: subprocess.Popen[str] | None = None
    if one.run("ip", "link", "add", "wglan0", "type", "wireguard", check=False).returncode != 0:
        daemon = one.popen(
            "wireguard-go", "-f", "wglan0", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        eventually(lambda: mesh.has_device(one), "wireguard-go makes no device", timeout=10)
    try:
        peer = one.run("sh", "-c", "wg genkey | wg pubkey").stdout.strip()
        one.run("sh", "-c", f"wg genkey > {one.directory}/other.key; chmod 600 {one.directory}/other.key")
        one.run("wg", "set", "wglan0", "private-key", f"{one.directory}/other.key")
        one.run("wg", "set", "wglan0", "listen-port", "51999", "peer", peer, "allowed-ips", "10.1.2.0/24")
        before = _wireguard(one)
        for options in ((), ("--cleanup",)):
            result = one.run("timeout", "20", *one.agent_command(*options), check=False)
            print(result.stderr.strip().splitlines()[-1] if result.stderr.strip() else "(no output)")
            check(_wireguard(one) == before, "another's interface was changed")
            if options == ():
                check(result.returncode == 1, f"exit {result.returncode}")
                for word in ("wglan0", "another program", "interface.name"):
                    check(word in result.stderr, f"the message doesn't say {word!r}: {result.stderr}")
        check(daemon is None or daemon.poll() is None, "another's wireguard-go was ended")
    finally:
        if daemon is not None:
            daemon.terminate()
            daemon.wait(timeout=10)


def _wireguard(node: Node) -> str:
    link = node.run("ip", "-br", "link", "show", "wglan0").stdout
    return node.run("wg", "showconf", "wglan0").stdout + link


@scenario()
def device_taken_while_running_is_left_alone(mesh: Mesh) -> None:
    """Somebody puts a device of their own in wglan0's place: told, not touched, and mended once it goes."""
    one, two = mesh.nodes
    pid = one.agent_pid() or 0
    os.kill(pid, signal.SIGSTOP)  # else it is faster than any command
    try:
        one.run("ip", "link", "delete", "wglan0")
        one.run("ip", "link", "add", "wglan0", "type", "veth", "peer", "name", "stranger0")
    finally:
        os.kill(pid, signal.SIGCONT)
    eventually(
        lambda: "no WireGuard interface of ours" in str(one.wglanctl_json("status")["warnings"]),
        "the status doesn't tell of the foreign device",
        timeout=10,
    )
    check(mesh.metric(one, "wglan_reconcile_errors_total") > 0, "no error was counted")
    kind = json.loads(one.run("ip", "-d", "-j", "link", "show", "wglan0").stdout)[0]["linkinfo"]["info_kind"]
    check(kind == "veth", f"wglan0 is a {kind}")
    check(one.agent_pid() == pid and one.wglanctl("status").returncode == 0, "the agent ended")
    one.run("ip", "link", "delete", "wglan0")
    took = eventually(
        lambda: mesh.ping(one, two.addresses.ipv4, count=1) == 1
        and mesh.peer_state(one, "node2") == "up",
        "the mesh isn't back once the device is gone",
        timeout=60,
    )
    print(f"back {took:.1f} s after the foreign device went")
