# SPDX-License-Identifier: Apache-2.0
"""The admission policy, judged by an evaluator of its language (see cel/policy.mjs)."""

import copy
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .manifests import ROOT, Object, Skipped, check, kustomize

_CEL = ROOT / "tests" / "kubernetes" / "cel"
_AGENT = "system:serviceaccount:wglan-system:wglan-agent"
_NODE_CLAIM = "authentication.kubernetes.io/node-name"
Change = Callable[[Object], object]


def _node() -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": "node-a",
            "uid": "6b1c",
            "resourceVersion": "41",
            "labels": {"kubernetes.io/hostname": "node-a", "zone": "a"},
            "annotations": {
                "node.alpha.kubernetes.io/ttl": "0",
                "wglan.dev/sequence": "4",
                "wglan.dev/prefixes": "x",
            },
            "managedFields": [{"manager": "kubelet"}],
        },
        "spec": {
            "podCIDR": "10.244.1.0/24",
            "podCIDRs": ["10.244.1.0/24"],
            "taints": [{"key": "k", "effect": "NoSchedule"}],
        },
        "status": {
            "addresses": [{"type": "InternalIP", "address": "192.0.2.1"}],
            "capacity": {"cpu": "4"},
            "conditions": [
                {"type": "Ready", "status": "True", "lastHeartbeatTime": "2026-01-01T00:00:00Z"},
                {"type": "WglanReady", "status": "False"},
            ],
            "images": [{"names": ["a"], "sizeBytes": 5}],
        },
    }


def _request(change: Change | None = None, **more: Any) -> Object:
    old = more.pop("old", _node())
    new = copy.deepcopy(old)
    if change is not None:
        change(new)
    user: Object = {"username": more.pop("user", _AGENT), "groups": ["system:serviceaccounts"]}
    if (node := more.pop("node", "node-a")) is not None:
        user["extra"] = {_NODE_CLAIM: [node], "authentication.kubernetes.io/pod-name": ["wglan-agent-x"]}
    request = {"operation": "UPDATE", "name": "node-a", "userInfo": user, **more}
    operation = request["operation"]
    return {
        "request": request,
        "object": None if operation == "DELETE" else new,
        "oldObject": None if operation == "CREATE" else old,
    }


def _annotate(name: str, value: str | None) -> Change:
    def change(node: Object) -> None:
        annotations = node["metadata"].setdefault("annotations", {})
        if value is None:
            del annotations[name]
        else:
            annotations[name] = value

    return change


def _condition(kind: str, status: str) -> Change:
    def change(node: Object) -> None:
        conditions = [one for one in node["status"]["conditions"] if one["type"] != kind]
        node["status"]["conditions"] = [*conditions, {"type": kind, "status": status}]

    return change


def _without(*path: str) -> Object:
    node = _node()
    inner = node
    for name in path[:-1]:
        inner = inner[name]
    del inner[path[-1]]
    return node


def _all_ours_away(node: Object) -> None:
    kept = {name: text for name, text in node["metadata"]["annotations"].items() if not name.startswith("wglan.dev/")}
    node["metadata"]["annotations"] = kept


def _withdrawal(node: Object) -> None:
    _all_ours_away(node)
    for name, text in (("identity", "i"), ("sequence", "5"), ("signature", "v1-withdrawn.1.s.m")):
        node["metadata"]["annotations"][f"wglan.dev/{name}"] = text


def _patch(path: str, value: Any) -> Change:
    """Sets what stands under a path of names with dots."""

    def change(node: Object) -> None:
        *above, last = path.split(".")
        for name in above:
            node = node.setdefault(name, {})
        node[last] = value

    return change


_ALLOWED: dict[str, Object] = {
    "our annotation changes": _request(_annotate("wglan.dev/sequence", "5")),
    "our annotation comes": _request(_annotate("wglan.dev/observed", "y")),
    "the first annotation of all": _request(
        _annotate("wglan.dev/sequence", "1"), old=_without("metadata", "annotations")
    ),
    "--cleanup": _request(_withdrawal),
    "--cleanup's second step": _request(_all_ours_away),
    "nothing changes": _request(),
    "the server's own bookkeeping": _request(_patch("metadata.managedFields", [{"manager": "wglan-agent"}])),
    "our condition changes": _request(_condition("WglanReady", "True"), subResource="status"),
    "our condition comes first": _request(
        _patch("status.conditions", [{"type": "WglanReady"}]),
        subResource="status",
        old=_without("status", "conditions"),
    ),
    "a Node without labels": _request(_annotate("wglan.dev/sequence", "5"), old=_without("metadata", "labels")),
    "a Node without status": _request(_annotate("wglan.dev/sequence", "5"), old=_without("status")),
}
_DENIED: dict[str, tuple[str, Object]] = {
    "another Node": ("no other Node", _request(_annotate("wglan.dev/sequence", "5"), node="node-b")),
    "a token that names no node": ("names no node", _request(_annotate("wglan.dev/sequence", "5"), node=None)),
    "a withdrawal of another Node": ("no other Node", _request(_withdrawal, node="node-b")),
    "another's annotation changes": ("of annotations", _request(_annotate("node.alpha.kubernetes.io/ttl", "9"))),
    "another's annotation comes": ("of annotations", _request(_annotate("evil.example/wglan.dev/", "9"))),
    "another's annotation goes": ("of annotations", _request(_annotate("node.alpha.kubernetes.io/ttl", None))),
    "all annotations go": ("of annotations", _request(_patch("metadata.annotations", {}))),
    "a label changes": ("labels", _request(_patch("metadata.labels.zone", "b"))),
    "a label comes": ("labels", _request(_patch("metadata.labels.node-role", "master"))),
    "labels go": ("labels", _request(lambda node: node["metadata"].pop("labels"))),
    "labels come": ("labels", _request(_patch("metadata.labels", {"a": "b"}), old=_without("metadata", "labels"))),
    "a finalizer comes": ("labels", _request(_patch("metadata.finalizers", ["a/b"]))),
    "an owner comes": ("labels", _request(_patch("metadata.ownerReferences", [{"kind": "Pod", "name": "x"}]))),
    "taints go": ("spec", _request(_patch("spec.taints", []))),
    "it is cordoned": ("spec", _request(_patch("spec.unschedulable", True))),
    "podCIDRs change": ("spec", _request(_patch("spec.podCIDRs", ["10.0.0.0/8"]))),
    "spec goes": ("spec", _request(lambda node: node.pop("spec"))),
    "an address comes": ("status", _request(_patch("status.addresses", []), subResource="status")),
    "capacity goes": ("status", _request(lambda node: node["status"].pop("capacity"), subResource="status")),
    "a field of status comes": ("status", _request(_patch("status.phase", "x"), subResource="status")),
    "Ready changes": ("status", _request(_condition("Ready", "False"), subResource="status")),
    "Ready goes": ("status", _request(_patch("status.conditions", []), subResource="status")),
    "labels by way of the status": ("labels", _request(_patch("metadata.labels.zone", "b"), subResource="status")),
    "the Node is deleted": ("nothing else", _request(operation="DELETE")),
    "a Node is made": ("nothing else", _request(operation="CREATE")),
    "the kubelet is asked": ("nothing else", _request(operation="CONNECT", subResource="proxy")),
}


def _install(build: Path) -> Path:
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        raise Skipped("node and npm aren't installed: no evaluator of CEL")
    folder = build / "cel"
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json", "policy.mjs"):
        source = (_CEL / name).read_bytes()
        if not (folder / name).exists() or (folder / name).read_bytes() != source:
            (folder / name).write_bytes(source)
            (folder / "installed").unlink(missing_ok=True)
    if not (folder / "installed").exists():
        done = subprocess.run(
            [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=1"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        if done.returncode != 0:
            last = [line for line in done.stderr.splitlines() if line.startswith("npm error")][:1]
            raise Skipped(f"npm can't install the evaluator of CEL: {''.join(last)}")
        (folder / "installed").touch()
    return folder


def policy(build: Path) -> str:
    folder = _install(build)
    found = kustomize("base")["ValidatingAdmissionPolicy", "", "wglan-agent"]
    for rule in found["spec"]["validations"]:
        # The default is answered as 422, which reads like a mistake in the patch.
        check(rule.get("reason") == "Forbidden", f"not answered as 403: {rule['message']}")
    cases = {**_ALLOWED, **{name: one for name, (_, one) in _DENIED.items()}}
    cases["somebody else"] = _request(_patch("spec.taints", []), user="system:node:node-a")
    done = subprocess.run(
        ["node", "policy.mjs"],
        cwd=folder,
        input=json.dumps({"policy": found, "cases": list(cases.values())}),
        capture_output=True,
        text=True,
        check=False,
    )
    check(done.returncode == 0, f"policy.mjs: {done.stderr}")
    verdicts = dict(zip(cases, json.loads(done.stdout), strict=True))
    check(not verdicts["somebody else"]["matched"], "the policy is about others too")
    for name in _ALLOWED:
        check(verdicts[name]["matched"] and verdicts[name]["allowed"], f"{name}: {verdicts[name]}")
    for name, (message, _) in _DENIED.items():
        check(not verdicts[name]["allowed"], f"{name} is allowed")
        check(any(message in one for one in verdicts[name]["messages"]), f"{name}: {verdicts[name]['messages']}")
        alone = len(verdicts[name]["messages"]) == 1 or name in _SEVERAL
        check(alone, f"{name}: more than its own rule answers: {verdicts[name]['messages']}")
    return f"{len(_ALLOWED)} changes allowed, {len(_DENIED)} denied, each by its own rule"


# What no rule but the first can look at; and a token without a node is nobody's.
_SEVERAL = {"the Node is deleted", "a Node is made", "the kubelet is asked", "a token that names no node"}
