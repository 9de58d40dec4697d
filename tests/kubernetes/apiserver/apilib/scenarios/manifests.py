# SPDX-License-Identifier: Apache-2.0
"""What config/kubernetes says to the API server, and what the admission policy lets an agent's token do."""

import tempfile
from pathlib import Path
from typing import Any

import yaml
from kubelib.manifests import KUSTOMIZATIONS, Helm, Object, kustomize
from kubelib.rendering import ALL_ON
from meshlib.scenario import Mesh, check, eventually, scenario

from ..cluster import APPLY, JSON_PATCH, MERGE, STRATEGIC, Answer, Cluster

_POLICIES = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"
_FOREIGN = "monitoring.coreos.com/"  # of the Prometheus operator


def _try(api: Cluster, documents: list[Object], origin: str) -> int:
    """Strictly, by the server, which keeps nothing; what isn't Kubernetes' own is left out."""
    known = [one for one in documents if not one["apiVersion"].startswith(_FOREIGN)]
    if not known:
        return 0
    text = yaml.safe_dump_all(known)
    for how in (["--validate=strict"], ["--validate=strict", "--server-side", "--force-conflicts"]):
        said = api.kubectl("apply", "--dry-run=server", *how, "-f", "-", stdin=text)
        check(said.count("dry run") == len(known), f"{origin}: {said}")
        # kubectl's own, of taking over from client-side apply, which a dry run can't.
        warned = [line for line in said.splitlines() if "Warning" in line and "last-applied" not in line]
        check(not warned, f"{origin}: {warned}")
    return len(known)


def _warnings(api: Cluster, policy: Object, name: str) -> Any:
    """What the server's check of types says of it, under that name."""
    policy["metadata"]["name"] = name
    if api.ask("GET", f"{_POLICIES}/{name}").status == 404:
        api.do("POST", _POLICIES, policy)
    said = lambda: api.do("GET", f"{_POLICIES}/{name}").get("status", {}).get("typeChecking")  # noqa: E731
    eventually(lambda: said() is not None, f"the types of {name} aren't checked", timeout=20)
    return said()


@scenario(nodes=1, start=False)
def the_api_server_takes_the_manifests(mesh: Mesh) -> None:
    """All kustomizations and the chart, with strict validation, twice the same; the policy's types are right."""
    with Cluster(mesh.lab) as api:
        again = api.apply("base").splitlines()
        check(again and all(line.endswith(" unchanged") for line in again), f"applied again: {again}")
        count = sum(_try(api, list(kustomize(name).values()), name) for name in KUSTOMIZATIONS)
        with tempfile.TemporaryDirectory() as build:
            helm = Helm(Path(build))
            count += sum(_try(api, list(helm.render(values).values()), helm.name) for values in (None, ALL_ON))
        print(f"{count} objects taken, each by both ways of applying")

        broken = kustomize("base")["DaemonSet", "wglan-system", "wglan-agent"]
        broken["spec"]["template"]["spec"]["hostNetwrk"] = True
        said = api.kubectl(
            "apply", "--dry-run=server", "--validate=strict", "-f", "-", stdin=yaml.safe_dump(broken), expect=False
        )
        check("hostNetwrk" in said, f"an unknown field is taken: {said}")

        # Types are checked of what is named in full alone.
        other = kustomize("base")["ValidatingAdmissionPolicy", "", "wglan-agent"]
        rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"], "resources": ["nodes"]}
        other["spec"]["matchConstraints"]["resourceRules"] = [rule]
        check(_warnings(api, other, "same") == {}, f"the policy's types: {_warnings(api, other, 'same')}")
        other["spec"]["validations"].append({"expression": "object.spec.podCIDRz == ''"})
        check("podCIDRz" in str(_warnings(api, other, "other")), "a field that isn't there is fine")
        other["metadata"]["name"], other["spec"]["validations"][-1]["expression"] = "worse", "variables.nothing =="
        check(api.ask("POST", _POLICIES, other).status == 422, "an expression that is none is taken")


def _note(text: str | None, key: str = "wglan.dev/note") -> Object:
    return {"metadata": {"annotations": {key: text}}}


def _condition(kind: str, **more: str) -> Object:
    return {"status": {"conditions": [{"type": kind, "status": "True", "reason": "A", **more}]}}


_KIND: Object = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node1"}}
_A = "/metadata/annotations/wglan.dev~1note"
_APPLY = "?fieldManager=wglan&force=true"
# Subresource or query, type, body.
_ALLOWED: dict[str, tuple[str, str, Any]] = {
    "a merge patch": ("", MERGE, _note("1")),
    "of the same": ("", MERGE, _note("1")),
    "a JSON patch": ("", JSON_PATCH, [{"op": "replace", "path": _A, "value": "2"}]),
    "a strategic patch": ("", STRATEGIC, _note("3")),
    "an apply": (_APPLY, APPLY, {**_KIND, "metadata": {"name": "node1", **_note("4")["metadata"]}}),
    "it goes": ("", MERGE, _note(None)),
    "the condition": ("/status", STRATEGIC, _condition("WglanReady")),
    "the condition goes": ("/status", STRATEGIC, {"status": {"conditions": [{"type": "WglanReady", "$patch": "delete"}]}}),
    "by way of the status": ("/status", STRATEGIC, _note("5")),
}
_ANNOTATIONS, _META = "of annotations WgLAN's agents", "labels, finalizers or owners"
_SPEC, _STATUS = "the spec of Nodes", "the condition WglanReady only"
_DENIED: dict[str, tuple[str, str, str, Any]] = {
    "another annotation": (_ANNOTATIONS, "", MERGE, _note("1", "other.example/note")),
    "one that begins alike": (_ANNOTATIONS, "", MERGE, _note("1", "wglan.dev.example/note")),
    "the kubelet's goes": (_ANNOTATIONS, "", MERGE, _note(None, "node.alpha.kubernetes.io/ttl")),
    "all go": (_ANNOTATIONS, "", MERGE, {"metadata": {"annotations": None}}),
    "a JSON patch of another": (
        _ANNOTATIONS, "", JSON_PATCH, [{"op": "add", "path": "/metadata/annotations/x", "value": "2"}],
    ),
    "an apply of another": (
        _ANNOTATIONS, _APPLY, APPLY, {**_KIND, "metadata": {"name": "node1", "annotations": {"x": "1"}}},
    ),
    "by way of the status": (_ANNOTATIONS, "/status", STRATEGIC, _note("1", "x")),
    "a label": (_META, "", MERGE, {"metadata": {"labels": {"zone": "b"}}}),
    "a label by an apply": (_META, _APPLY, APPLY, {**_KIND, "metadata": {"name": "node1", "labels": {"zone": "b"}}}),
    "a label goes": (_META, "", JSON_PATCH, [{"op": "remove", "path": "/metadata/labels/zone"}]),
    "a label by way of the status": (_META, "/status", STRATEGIC, {"metadata": {"labels": {"zone": "b"}}}),
    "a finalizer": (_META, "", MERGE, {"metadata": {"finalizers": ["example.com/x"]}}),
    "an owner": (
        _META, "", MERGE,
        {"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "x", "uid": "y"}]}},
    ),
    "it is cordoned": (_SPEC, "", MERGE, {"spec": {"unschedulable": True}}),
    "taints go": (_SPEC, "", MERGE, {"spec": {"taints": None}}),
    "a taint comes": (_SPEC, "", STRATEGIC, {"spec": {"taints": [{"key": "b", "effect": "NoExecute"}]}}),
    "a provider": (_SPEC, "", MERGE, {"spec": {"providerID": "x://y"}}),
    "an address": (_STATUS, "/status", MERGE, {"status": {"addresses": []}}),
    "capacity": (_STATUS, "/status", STRATEGIC, {"status": {"capacity": {"cpu": "64"}}}),
    "Ready": (_STATUS, "/status", STRATEGIC, _condition("Ready", reason="B")),
    "all conditions": (_STATUS, "/status", MERGE, {"status": {"conditions": []}}),
    "a condition beside ours": (_STATUS, "/status", STRATEGIC, _condition("DiskPressure")),
}


def _refused(answer: Answer, said: str, what: str) -> None:
    check(answer.status == 403, f"{what}: {answer.status} {answer.message}")
    check(said in answer.message, f"{what}: {answer.message}")


@scenario(nodes=1, start=False)
def a_token_of_an_agent_changes_its_own_node_alone(mesh: Mesh) -> None:
    """Patches of all four kinds, on the Node and its status; another Node; other verbs; a token without a node."""
    with Cluster(mesh.lab) as api:
        for name in ("node1", "node2"):
            api.put_node(name, [f"10.244.{name[-1]}.0/24"], [f"192.0.2.{name[-1]}"])
            api.add_pod(name)
        token = api.new_token("node1")
        # The server reads policies and bindings from a copy of its own, a moment later.
        eventually(
            lambda: api.ask("PATCH", "/api/v1/nodes/node2", _note("1"), token=token, type_=MERGE).status == 403,
            "the policy isn't in force",
            timeout=20,
        )
        for what, (where, type_, body) in _ALLOWED.items():
            answer = api.ask("PATCH", f"/api/v1/nodes/node1{where}", body, token=token, type_=type_)
            check(answer.status == 200, f"{what}: {answer.status} {answer.message}")
        before = api.node("node1")
        for what, (said, where, type_, body) in _DENIED.items():
            _refused(api.ask("PATCH", f"/api/v1/nodes/node1{where}", body, token=token, type_=type_), said, what)
        check(api.node("node1") == before, "the Node has changed")
        for what, (where, type_, body) in _ALLOWED.items():
            if type_ == APPLY:
                body = {**body, "metadata": {**body["metadata"], "name": "node2"}}
            if what == "a JSON patch":
                body = [{"op": "add", "path": _A, "value": "2"}]
            answer = api.ask("PATCH", f"/api/v1/nodes/node2{where}", body, token=token, type_=type_)
            _refused(answer, "may change no other Node", f"another Node: {what}")
        _no_other_verb(api, token)
        _no_other_token(api)
        print(f"{len(_ALLOWED)} patches allowed, {len(_DENIED)} denied, and all of another Node")


def _no_other_verb(api: Cluster, token: str) -> None:
    node = api.node("node1")
    node["metadata"]["annotations"]["wglan.dev/note"] = "x"
    slices = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"
    one, several = f"{slices}/kubernetes", f"{slices}?fieldSelector=metadata.name%3Dkubernetes"
    for path in ("/api/v1/nodes", "/api/v1/nodes/node2", one, several):
        answer = api.ask("GET", path, token=token)
        check(answer.status == 200, f"GET {path}: {answer.status} {answer.message}")
    for method, path, body in (
        ("PUT", "/api/v1/nodes/node1", node),
        ("PUT", "/api/v1/nodes/node1/status", node),
        ("DELETE", "/api/v1/nodes/node1", None),
        ("DELETE", "/api/v1/nodes", None),
        ("POST", "/api/v1/nodes", {"metadata": {"name": "node9"}}),
        ("GET", slices, None),
        ("GET", "/api/v1/namespaces/wglan-system/secrets", None),
        ("GET", "/api/v1/pods", None),
        ("GET", "/apis/events.k8s.io/v1/namespaces/default/events", None),
    ):
        _refused(api.ask(method, path, body, token=token), "cannot", f"{method} {path}")


def _no_other_token(api: Cluster) -> None:
    """Of the same account, but bound to nothing; and of a pod that is gone."""
    path = "/api/v1/namespaces/wglan-system/serviceaccounts/wglan-agent/token"
    free = api.do("POST", path, {"spec": {"expirationSeconds": 600}})["status"]["token"]
    answer = api.ask("PATCH", "/api/v1/nodes/node1", _note("9"), token=free, type_=MERGE)
    _refused(answer, "names no node", "a token that is bound to nothing")
    gone = api.new_token("node2")
    api.delete_pod("node2")
    check(api.ask("GET", "/api/v1/nodes", token=gone).status == 401, "the token outlives its pod")
