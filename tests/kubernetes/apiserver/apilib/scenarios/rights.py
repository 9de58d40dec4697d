# SPDX-License-Identifier: Apache-2.0
"""Rights and tokens that go, and come back, while the agents run."""

import contextlib
import threading
from collections.abc import Iterator

from lablib import pki
from meshlib.scenario import Mesh, check, eventually, scenario

from ..cluster import Cluster
from .mesh import cluster, source

_RBAC = "/apis/rbac.authorization.k8s.io/v1"
_FLOWS = "/apis/flowcontrol.apiserver.k8s.io/v1"
_GONE: dict[str, str | None] = {"wglan.dev/signature": None}


def _signed(api: Cluster, name: str) -> bool:
    return "wglan.dev/signature" in api.annotations(name)


@scenario(start=False)
def rights_go_and_come(mesh: Mesh) -> None:
    """Without rights the peers stay and the status says why; with them again all is as before."""
    one, two = mesh.nodes
    with cluster(mesh) as api:
        role = api.do("GET", f"{_RBAC}/clusterroles/wglan-agent")
        del role["metadata"]["resourceVersion"]
        reading = {**role, "rules": [{**role["rules"][0], "verbs": ["get", "list", "watch"]}]}
        api.do("PUT", f"{_RBAC}/clusterroles/wglan-agent", reading)
        eventually(lambda: api.ask("PATCH", "/api/v1/nodes/node2", {}, token=api.new_token("node2"),
                                   type_="application/merge-patch+json").status == 403, "still allowed", timeout=20)
        api.annotate("node2", _GONE)
        eventually(lambda: "403" in str(source(two).get("lastError")), f"no complaint: {source(two)}", timeout=10)
        check("ClusterRole" in str(source(two)["lastError"]), str(source(two)))
        # Nothing at all: what was told stays, also for the watches' next turn.
        bindings = {name: api.do("GET", f"{_RBAC}/clusterrolebindings/{name}") for name in ("wglan-agent", "wglan-agent-status")}
        for name in bindings:
            api.do("DELETE", f"{_RBAC}/clusterrolebindings/{name}")
        api.programs.kill_server()
        api.start()
        eventually(lambda: "403" in str(source(one).get("lastError")), f"no complaint: {source(one)}", timeout=60)
        check(mesh.peer_state(one, "node2") == "up", "node2 went with the rights")
        mesh.expect_ping(one, two.addresses.ipv4)
        api.do("PUT", f"{_RBAC}/clusterroles/wglan-agent", role)
        for name, binding in bindings.items():
            del binding["metadata"]["resourceVersion"], binding["metadata"]["uid"]
            api.do("POST", f"{_RBAC}/clusterrolebindings", binding)
        took = eventually(lambda: source(one).get("state") == "synced", f"not synced: {source(one)}", timeout=60)
        again = eventually(lambda: _signed(api, "node2"), f"not repaired: {source(two)}", timeout=120, step=0.5)
        print(f"synced {took:.1f} s and repaired {again:.1f} s after the rights came back")


@scenario(start=False)
def tokens_end_and_are_renewed(mesh: Mesh) -> None:
    """Expired ones are refused (401), and the one in the file is used from then on."""
    one, two = mesh.nodes
    with cluster(mesh, "--service-account-max-token-expiration=20s") as api:
        api.annotate("node2", _GONE)
        eventually(lambda: _signed(api, "node2"), "not repaired at first", timeout=10)
        old = two.directory / "token"
        eventually(
            lambda: api.ask("GET", "/api/v1/nodes/node2", token=old.read_text()).status == 401,
            "the token holds",
            timeout=60,
            step=1,
        )
        api.annotate("node2", _GONE)
        eventually(lambda: "401" in str(source(two).get("lastError")), f"no complaint: {source(two)}", timeout=20)
        check(mesh.peer_state(one, "node2") == "up", "node2 went with its token")
        api.renew(two)
        took = eventually(lambda: _signed(api, "node2"), f"not repaired: {source(two)}", timeout=60)
        print(f"repaired {took:.1f} s after the new token was there")
        eventually(lambda: source(two).get("state") == "synced", f"{source(two)}", timeout=40)


# All that agents ask is one at a time.
_LEVEL = {
    "metadata": {"name": "narrow"},
    "spec": {
        "type": "Limited",
        "limited": {
            "nominalConcurrencyShares": 0,
            "lendablePercent": 0,
            "borrowingLimitPercent": 0,
            "limitResponse": {"type": "Reject"},
        },
    },
}
_ACCOUNT = {"kind": "ServiceAccount", "serviceAccount": {"namespace": "wglan-system", "name": "wglan-agent"}}
_EVERYTHING = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "clusterScope": True, "namespaces": ["*"]}
_SCHEMA = {
    "metadata": {"name": "agents"},
    "spec": {
        "priorityLevelConfiguration": {"name": "narrow"},
        "matchingPrecedence": 500,
        "rules": [{"subjects": [_ACCOUNT], "resourceRules": [_EVERYTHING]}],
    },
}


@contextlib.contextmanager
def _occupied(api: Cluster, token: str) -> Iterator[None]:
    """Somebody with the agents' account always asks for a state to come, which the server waits 3 s for."""
    path = "/api/v1/nodes?resourceVersion=999999999999&resourceVersionMatch=NotOlderThan"
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            with contextlib.suppress(OSError):
                api.ask("GET", path, token=token)
            over.wait(0.02)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


@scenario(start=False)
def the_api_server_asks_for_patience(mesh: Mesh) -> None:
    """Priority and fairness answers 429 to what agents ask; they wait, and go on afterwards."""
    one, two = mesh.nodes
    with cluster(mesh) as api:
        api.do("POST", f"{_FLOWS}/prioritylevelconfigurations", _LEVEL)
        api.do("POST", f"{_FLOWS}/flowschemas", _SCHEMA)
        token = api.new_token("node1")
        with _occupied(api, token):
            eventually(lambda: api.ask("GET", "/api/v1/nodes", token=token).status == 429, "no 429", timeout=20)
            api.annotate("node2", _GONE)
            eventually(lambda: "429" in str(source(two).get("lastError")), f"no complaint: {source(two)}", timeout=20)
            one.agent_stop()
            one.agent_start()
            eventually(lambda: "429" in str(source(one).get("lastError")), f"no complaint: {source(one)}", timeout=20)
            check(mesh.peer_state(one, "node2") == "up", "what the cache held went")
        took = eventually(lambda: _signed(api, "node2"), f"not repaired: {source(two)}", timeout=60, step=0.2)
        eventually(lambda: source(one).get("state") == "synced", f"{source(one)}", timeout=60)
        print(f"repaired {took:.1f} s after the server had time again")


@scenario(start=False)
def the_wrong_authority_is_refused(mesh: Mesh) -> None:
    """A server that another CA vouches for is told nothing; the status names the reason."""
    one, two = mesh.nodes
    with Cluster(mesh.lab) as api:
        other = one.directory / "other.pem"
        pki.make_authority(one.directory, other)
        for node, ca in ((one, other), (two, None)):
            api.admit(node)
            mesh.reconfigure(node, api.configure(node, ca=ca))
            node.agent_start()
        eventually(lambda: "certificate" in str(source(one).get("lastError")), f"{source(one)}", timeout=20)
        check(not api.annotations("node1"), "it has written to a server that it doesn't trust")
        check(mesh.peer(one, "node2") is None, "a peer from a server that isn't trusted")
        one.agent_stop()
        api.configure(one, six=True)
        one.agent_start()
        mesh.lab.wait_ready()
        mesh.expect_ping(one, two.addresses.ipv4)
