# SPDX-License-Identifier: Apache-2.0
"""The API server stops, dies, and has forgotten what happened."""

import time

from lablib import Node
from meshlib.scenario import Mesh, check, eventually, scenario

from ..cluster import Cluster
from .mesh import cluster, source, stays


def _news(mesh: Mesh, one: Node, two: Node, number: int) -> float:
    """What one node publishes reaches the other: through the server, by the watch."""
    prefix = f"10.77.{number}.0/24"
    mesh.reconfigure(two, [{"op": "add", "path": "/advertise/prefixes", "value": [prefix]}])
    return eventually(
        lambda: prefix in (mesh.peer(one, "node2") or {}).get("prefixes", []), f"no news {number}", timeout=60
    )


def _back(api: Cluster, nodes: list[Node]) -> float:
    took = 0.0
    for node in nodes:
        took = max(took, eventually(lambda n=node: source(n)["state"] == "synced", f"{source(node)}", timeout=60))
    # A server that has just started knows nobody's rights for a moment.
    for node in nodes:
        eventually(lambda n=node: not source(n).get("notes"), f"goes on without: {source(node)}", timeout=20)
    return took


@scenario(start=False)
def the_api_server_restarts(mesh: Mesh) -> None:
    """Gracefully, by SIGKILL, and with a compacted history: no packet is lost, and news come through again."""
    one, two = mesh.nodes
    with cluster(mesh, "--shutdown-delay-duration=1s") as api, mesh.stream(one, two, two.addresses.ipv4) as stream:
        _news(mesh, one, two, 1)
        api.programs.stop_server()
        eventually(lambda: source(one)["state"] != "synced", "still synced without a server", timeout=20)
        check(mesh.peer_state(one, "node2") == "up", "node2 went with the server")
        api.start()
        print(f"stopped gracefully: synced {_back(api, mesh.nodes):.1f} s after it was ready, news {_news(mesh, one, two, 2):.1f} s")
        api.programs.kill_server()
        api.start()
        print(f"killed: synced {_back(api, mesh.nodes):.1f} s after it was ready, news {_news(mesh, one, two, 3):.1f} s")
        # Nodes change while the agents can't hear of it, and etcd forgets how.
        one.run("ip", "route", "add", "blackhole", f"{api.host.ipv4}/32")
        two.run("ip", "route", "add", "blackhole", f"{api.host.ipv4}/32")
        for number in range(20):
            api.annotate("node1", {"example.com/count": str(number)})
        revision = api.version("node1")
        api.programs.etcdctl("compact", revision)
        api.programs.kill_server()
        api.start()
        for node in (one, two):
            node.run("ip", "route", "del", "blackhole", f"{api.host.ipv4}/32")
        print(f"compacted: synced {_back(api, mesh.nodes):.1f} s later, news {_news(mesh, one, two, 4):.1f} s")
        stays(api, ["node1", "node2"], 5)
    print(stream.outcome)
    check(stream.outcome.lost == 0, str(stream.outcome))


@scenario(start=False)
def the_api_server_is_away_for_minutes(mesh: Mesh) -> None:
    """Two minutes without it: traffic goes on, an agent starts with what it knew, and nobody storms it afterwards."""
    one, two = mesh.nodes
    with cluster(mesh) as api:
        api.programs.kill_server()
        with mesh.stream(one, two, two.addresses.ipv4) as stream:
            time.sleep(60)
            two.agent_stop()
            two.agent_start()
            eventually(lambda: mesh.peer_state(two, "node1") == "up", "an agent without a server knows nobody", timeout=30)
            time.sleep(60)
        check(stream.outcome.lost == 0, str(stream.outcome))
        api.start()
        print(f"synced {_back(api, mesh.nodes):.1f} s after it was ready, news {_news(mesh, one, two, 1):.1f} s")
