# SPDX-License-Identifier: Apache-2.0
"""The containers of config/kubernetes: what they are given is enough, and tunnels outlive the agent's."""

import shlex
import time

from ..container import Container, daemonset
from ..scenario import Mesh, check, eventually, scenario

_EXTERNAL = [{"op": "add", "path": "/interface/wireguardGo", "value": "external"}]


@scenario(core=True, start=False)
def containers_of_the_daemonsets_suffice(mesh: Mesh) -> None:
    """Agent and wireguard-go in the manifests' containers; the agent's may go and come, and cleans up in the end."""
    one, two = mesh.nodes
    agent = daemonset("base/daemonset.yaml")
    wireguard = daemonset("overlays/userspace-wireguard/wireguard-go.yaml")
    mesh.reconfigure(one, _EXTERNAL)
    # Nothing but writing below /host/proc/sys switches it on for wglan0.
    one.run("sysctl", "-qw", "net.ipv6.conf.default.forwarding=0")
    command = one.agent_command("--log-format", "text")
    two.agent_start()
    with Container(one, wireguard) as sidecar:
        with Container(one, agent, command) as first:
            first.await_agent()
            one.wait_ready(1)
            mesh.expect_ping(one, two.addresses.ipv4)
            mesh.expect_ping(mesh.pod(one), mesh.pod(two).ipv6)
            forwards = one.run("cat", "/proc/sys/net/ipv6/conf/wglan0/forwarding").stdout.strip()
            check(forwards == "1", "IPv6 isn't forwarded from wglan0")
            before = mesh.ifindex(one)
            with mesh.stream(mesh.pod(one), mesh.pod(two), mesh.pod(two).ipv4) as stream:
                time.sleep(0.5)
                check(first.stop() == 0, f"SIGTERM:\n{one.log_tail()}")
                time.sleep(1)
                with Container(one, agent, command) as second:
                    second.await_agent()
                    one.wait_ready(1)
                    time.sleep(0.5)
                    second.kill()
                    time.sleep(0.5)
                    if one.has_program("wglan-agent-next"):
                        one.agent_program = "wglan-agent-next"  # of another layout of the maps
                    with Container(one, agent, one.agent_command("--log-format", "text")) as third:
                        third.await_agent()
                        one.wait_ready(1)
                        time.sleep(0.5)
            print(f"agent stopped, started, killed, started: {stream.outcome}")
            check(stream.outcome.sent > 100 and stream.outcome.lost == 0, str(stream.outcome))
            check(mesh.ifindex(one) == before, "wglan0 was made anew")
            check(sidecar.runs(), "wireguard-go's container ended")
        check(mesh.log(one).count("adopted the running data plane") == 2, "the data plane wasn't adopted")
        uninstall = daemonset("overlays/uninstall/uninstall.yaml")["spec"]["template"]["spec"]["containers"][0]
        (script,) = uninstall["args"]
        own = shlex.join(one.agent_command())
        check("wglan-agent --config /etc/wglan/agent.yaml" in script, f"uninstall.yaml runs\n{script}")
        script = script.replace("wglan-agent --config /etc/wglan/agent.yaml", own)
        with Container(one, agent, [*uninstall["command"], script]) as last:
            ready = uninstall["readinessProbe"]["exec"]["command"]
            eventually(lambda: last.answers(ready), f"never clean:\n{one.log_tail()}", timeout=30)
            check(last.runs(), "the pod of a clean node ends")
        check("wglan" not in one.run("ls", "/sys/fs/bpf").stdout.split(), "pins are left")
        left = one.run("find", "/var/lib/wglan", "/run/wglan", "-mindepth", "1").stdout.split()
        check(not left, f"files are left: {left}")
        check(not one.run("ip", "route", "show", "table", "all", "proto", "119").stdout, "routes are left")
    eventually(lambda: not mesh.has_device(one), "wglan0 is left", timeout=5)


@scenario(start=False)
def wireguard_go_of_another_container_ends(mesh: Mesh) -> None:
    """The agent doesn't start one in its stead, which would end with the agent's container; it adopts the next."""
    one, two = mesh.nodes
    agent = daemonset("base/daemonset.yaml")
    wireguard = daemonset("overlays/userspace-wireguard/wireguard-go.yaml")
    external = [*_EXTERNAL, {"op": "add", "path": "/interface/backend", "value": "userspace"}]
    mesh.reconfigure(one, external)
    two.agent_start()
    # Where the kernel has WireGuard its own script would sleep.
    run = ["wireguard-go", "-f", "wglan0"]
    with Container(one, agent, one.agent_command("--log-format", "text")) as container:
        # The agent begins first, and waits.
        time.sleep(1)
        check(container.runs() and not mesh.has_device(one), "the agent didn't wait")
        with Container(one, wireguard, run):
            container.await_agent()
            one.wait_ready(1)
            mesh.expect_ping(one, two.addresses.ipv4)
        eventually(lambda: not mesh.has_device(one), "wglan0 outlives its wireguard-go", timeout=5)
        time.sleep(3)
        check(container.runs(), f"the agent ended with wireguard-go:\n{one.log_tail()}")
        check(not mesh.has_device(one), "the agent started a wireguard-go of its own")
        with Container(one, wireguard, run):
            took = eventually(lambda: mesh.ping(one, two.addresses.ipv4, count=1) == 1, "no traffic", timeout=30)
            print(f"traffic back {took:.1f} s after wireguard-go")
            eventually(lambda: mesh.peer_state(one, "node2") == "up", "node2 isn't up", timeout=30)
