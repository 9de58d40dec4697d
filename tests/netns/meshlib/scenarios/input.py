# SPDX-License-Identifier: Apache-2.0
"""Bad input and odd hosts: a clear message, and never a crash or a half-made state."""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

from lablib import Node

from ..scenario import Mesh, Patch, check, eventually, scenario


def refuse(
    mesh: Mesh,
    node: Node,
    *,
    status: int,
    wanted: tuple[str, ...],
    prefix: tuple[str, ...] = (),
    options: tuple[str, ...] = (),
) -> None:
    """The agent ends with that status and a message that names all of `wanted`."""
    result: subprocess.CompletedProcess[str] = node.run(
        *prefix, "timeout", "20", *node.agent_command("--log-format", "text", *options), check=False
    )
    said = result.stderr + result.stdout
    print(said.strip().splitlines()[-1] if said.strip() else "(no output)")
    check(result.returncode == status, f"exit {result.returncode} instead of {status}: {said}")
    for word in wanted:
        check(word in said, f"the message doesn't name {word!r}: {said}")
    check(not mesh.has_device(node), "a device was made")


@contextlib.contextmanager
def _running(node: Node, prefix: tuple[str, ...], *options: str) -> Iterator[None]:
    """The agent's command line behind those words."""
    with node.log.open("ab") as log:
        agent = node.popen(
            *prefix,
            *node.agent_command("--log-format", "text", *options),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        eventually(
            lambda: node.agent_answers() or agent.poll() is not None, "the agent doesn't answer", timeout=15
        )
        check(agent.poll() is None, f"the agent ended:\n{node.log_tail()}")
        yield
    finally:
        agent.terminate()
        agent.wait(timeout=20)


@scenario(nodes=1, core=True, start=False)
def bad_configuration_is_refused(mesh: Mesh) -> None:
    """Exit 2 and the file, key and what is accepted; nothing is made."""
    one = mesh.nodes[0]
    base = one.patch.read_text()
    cases: list[tuple[Patch, tuple[str, ...]]] = [
        ([{"op": "add", "path": "/peers/keepAlive", "value": 5}], ("keepAlive",)),
        ([{"op": "add", "path": "/peers/keepaliveSeconds", "value": "soon"}], ("keepaliveSeconds",)),
        ([{"op": "add", "path": "/interface/mtu", "value": 100}], ("mtu", "1280")),
        ([{"op": "add", "path": "/steering/exclude", "value": ["10.0.0.0/33"]}], ("10.0.0.0/33",)),
        ([{"op": "add", "path": "/peers/whenDown", "value": "maybe"}], ("whenDown", "bypass")),
        ([{"op": "replace", "path": "/cluster", "value": {"token": "short"}}], ("token", "16")),
        ([{"op": "replace", "path": "/cluster", "value": {}}], ("token",)),
        ([{"op": "test", "path": "/cluster", "value": 7}], ("patch.json",)),
    ]
    for patch, wanted in cases:
        one.patch.write_text(base)
        mesh.reconfigure(one, patch)
        refuse(mesh, one, status=2, wanted=wanted)
        refuse(mesh, one, status=2, wanted=wanted, options=("--check",))
    mesh.write_patch(one, "{ this is not: a patch")
    refuse(mesh, one, status=2, wanted=("patch.json",))
    mesh.write_patch(one, base)
    check(
        one.run(*one.agent_command("--check")).returncode == 0, "--check refuses the lab's own configuration"
    )


@scenario(nodes=1, core=True, start=False)
def damaged_keys_are_never_made_anew(mesh: Mesh) -> None:
    """A key file that can't be parsed or read is an error that says what to do."""
    one = mesh.nodes[0]
    key = one.state / "private.key"
    for content in ("", "garbage\n", "A" * 43 + "\n"):
        key.write_text(content)
        key.chmod(0o600)
        refuse(mesh, one, status=1, wanted=("private.key",))
        check(key.read_text() == content, "the damaged key was replaced")
    key.unlink()
    key.mkdir()
    refuse(mesh, one, status=1, wanted=("private.key",))
    key.rmdir()
    # A full disk: the state directory has no room for the key.
    one.run("mount", "-t", "tmpfs", "-o", "size=4k,nr_inodes=2", "full", "/var/lib/wglan")
    one.run("sh", "-c", "head -c 4096 /dev/zero > /var/lib/wglan/filler", check=False)
    refuse(mesh, one, status=1, wanted=("/var/lib/wglan",))
    one.run("umount", "/var/lib/wglan")
    one.agent_start()
    check((key.stat().st_mode & 0o777) == 0o600, f"the key's mode is {key.stat().st_mode:o}")


@scenario(nodes=1, core=True, start=False)
def missing_rights_are_named(mesh: Mesh) -> None:
    """Without CAP_NET_ADMIN or CAP_BPF the agent says so."""
    one = mesh.nodes[0]
    refuse(
        mesh,
        one,
        status=1,
        wanted=("CAP_NET_ADMIN",),
        prefix=("setpriv", "--bounding-set", "-net_admin", "--inh-caps", "-net_admin"),
    )
    one.run(*one.agent_command("--cleanup"))


@scenario(nodes=2, core=True, start=False)
def bpffs_is_mounted(mesh: Mesh) -> None:
    """Without bpffs the agent mounts it (or says how); the mesh forms."""
    one, two = mesh.nodes
    one.run("umount", "/sys/fs/bpf")
    mesh.lab.start_agents()
    mesh.expect_ping(one, two.addresses.ipv4)
    listing = one.run("ls", "/sys/fs/bpf/wglan").stdout.split()
    print(f"pinned: {' '.join(listing)}")
    check(listing != [], "nothing is pinned")


_TALOS = """\
machine:
  network:
    interfaces:
    - interface: wglan0
      wireguard:
        enableAutomaticNodes: true
        enablePodNetworking: true
"""
_TALOS_PATCH = """\
[{"op": "add", "path": "/machine/network/interfaces", "value": [
  {"interface": "wglan0", "wireguard": {"enableAutomaticNodes": true, "enablePodNetworking": true}}]}]
"""


@scenario(nodes=1, core=True, start=False)
def talos_documents_start_an_agent(mesh: Mesh) -> None:
    """The original documentation's machine configuration starts an agent as it stands."""
    one = mesh.nodes[0]
    document = one.directory / "machine.yaml"
    for text in (_TALOS, _TALOS_PATCH):
        document.write_text(text)
        program = one.agent_command()[0]
        with one.log.open("ab") as log:
            agent = one.popen(
                "env",
                f"WGLAN_CLUSTER_TOKEN_FILE={mesh.lab.layout.token}",
                program,
                "--config",
                str(document),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            eventually(
                lambda: one.agent_answers() or agent.poll() is not None,  # noqa: B023
                "the agent doesn't answer",
                timeout=15,
            )
            check(agent.poll() is None, f"the agent ended:\n{one.log_tail()}")
            check(one.wglanctl_json("status")["node"]["name"] == one.name, "the node has another name")
        finally:
            agent.terminate()
            agent.wait(timeout=20)
        one.run(*one.agent_command("--cleanup"))


@scenario(nodes=2, core=True)
def agents_that_are_absent_exit_3(mesh: Mesh) -> None:
    """wglanctl's exit codes: 0 with peers down, 1 on a time-out, 2 for wrong usage, 3 without an agent."""
    one, two = mesh.nodes
    result = one.wglanctl("status", "--wait-ready", "--timeout", "1s", "--peers", "9", check=False)
    check(result.returncode == 1, f"exit {result.returncode} on a time-out")
    check(one.wglanctl("no-such-command", check=False).returncode == 2, "wrong usage isn't exit 2")
    check(one.wglanctl("status", check=False).returncode == 0, "status isn't exit 0")
    two.agent_stop()
    check(two.wglanctl("status", check=False).returncode == 3, "no agent isn't exit 3")
    token = one.wglanctl("token", "new").stdout.strip()
    check(len(token) >= 43, f"a fresh token of {len(token)} characters")
    second = one.run(*one.agent_command(), check=False, timeout=20)
    check(second.returncode == 1, f"a second agent on one node ends with {second.returncode}")
    check(one.agent_answers(), "the first agent went with the second")


@scenario(nodes=2, core=True, start=False)
def documented_capabilities_suffice(mesh: Mesh) -> None:
    """The systemd unit's capability set is enough for an agent that makes everything anew."""
    one, two = mesh.nodes
    unit = (Path(__file__).resolve().parents[4] / "config/systemd/wglan-agent.service").read_text()
    line = next(line for line in unit.splitlines() if line.startswith("CapabilityBoundingSet="))
    kept = ",".join("+" + word.removeprefix("CAP_").lower() for word in line.partition("=")[2].split())
    confined = ("setpriv", "--bounding-set", f"-all,{kept}", "--inh-caps", "-all", "--no-new-privs")
    with _running(one, confined):
        two.agent_start()
        one.wait_ready(1)
        mesh.expect_ping(one, two.addresses.ipv4)
        mesh.expect_ping(mesh.pod(one), mesh.pod(two).ipv6)


@scenario(nodes=2, core=True, start=False)
def raw_sockets_can_be_missed(mesh: Mesh) -> None:
    """Without CAP_NET_RAW no NAT is opened and no peer probed: log and status say so, and the mesh forms."""
    one, two = mesh.nodes
    rawless = ("setpriv", "--bounding-set", "-net_raw", "--inh-caps", "-net_raw")
    with _running(one, rawless, "--log-level", "debug"):
        two.agent_start()
        one.wait_ready(1)
        mesh.expect_ping(one, two.addresses.ipv4)
        mesh.expect_ping(mesh.pod(two), mesh.pod(one).ipv6)
        said = [line for line in mesh.log(one).splitlines() if "NATs aren't opened beforehand" in line]
        print("\n".join(said))
        check(len(said) == 1, f"said {len(said)} times that NATs aren't opened")
        check("open a raw socket" in said[0] and "EPERM" in said[0], f"why isn't said: {said[0]}")
        warnings = one.wglanctl_json("status")["warnings"]
        check(any("CAP_NET_RAW" in warning for warning in warnings), f"the status doesn't warn: {warnings}")
