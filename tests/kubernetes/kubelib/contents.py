# SPDX-License-Identifier: Apache-2.0
"""What the manifests say agrees with the programs: configuration, rights, capabilities, metrics, files."""

import re
import subprocess
import tempfile
from pathlib import Path

import yaml

from .manifests import CONFIG, KUSTOMIZATIONS, NAMESPACE, ROOT, Key, Object, check, containers, kustomize


def configurations(programs: Path) -> str:
    """Every ConfigMap's configuration is one that the agent takes."""
    seen: dict[str, str] = {}
    for name in KUSTOMIZATIONS:
        config = kustomize(name).get(("ConfigMap", NAMESPACE, "wglan-agent"))
        if config is not None:
            seen[config["data"]["agent.yaml"]] = name
    check(len(seen) >= 5, f"only {len(seen)} configurations")
    with tempfile.TemporaryDirectory() as folder:
        token, file = Path(folder) / "token", Path(folder) / "agent.yaml"
        token.write_text("0123456789abcdef0123456789abcdef\n")
        token.chmod(0o400)
        for text, name in seen.items():
            path = yaml.safe_load(text)["cluster"]["tokenFile"]
            _token_is_mounted(kustomize(name), path)
            file.write_text(text.replace(path, str(token)))
            done = subprocess.run(
                [programs / "wglan-agent", "--check", "--config", file],
                env={"NODE_NAME": "node-a", "PATH": "/usr/bin:/bin"},
                capture_output=True,
                text=True,
                check=False,
            )
            check(done.returncode == 0, f"{name}: {done.stderr}")
            check("[warn" not in done.stderr, f"{name}: {done.stderr}")
    return f"{len(seen)} configurations"


def _token_is_mounted(found: dict[Key, Object], path: str) -> None:
    spec = found["DaemonSet", NAMESPACE, "wglan-agent"]["spec"]["template"]["spec"]
    mounts = {mount["mountPath"]: mount["name"] for mount in spec["containers"][0]["volumeMounts"]}
    folder, _, key = path.rpartition("/")
    check(folder in mounts, f"tokenFile {path} isn't on a volume")
    volume = next(one for one in spec["volumes"] if one["name"] == mounts[folder])
    example = yaml.safe_load((CONFIG / "token-secret.example.yaml").read_text())
    check(volume["secret"]["secretName"] == example["metadata"]["name"], f"the token is in {volume}")
    check(key in example["stringData"], f"the Secret has no {key}")


def capabilities() -> str:
    """No more than the systemd unit's; the container is what a user expects of a locked-down one."""
    unit = (ROOT / "config/systemd/wglan-agent.service").read_text()
    line = next(line for line in unit.splitlines() if line.startswith("CapabilityBoundingSet="))
    documented = {word.removeprefix("CAP_") for word in line.partition("=")[2].split()}
    agent = kustomize("base")["DaemonSet", NAMESPACE, "wglan-agent"]
    page = (ROOT / "docs/kubernetes.md").read_text()
    asked = set(containers(agent)[-1]["securityContext"]["capabilities"]["add"])
    check(asked <= documented, f"the systemd unit does without {asked - documented}")
    for one in asked:
        check(f"`{one}`" in page, f"docs/kubernetes.md doesn't tell why {one}")
    for name in KUSTOMIZATIONS:
        for key, document in kustomize(name).items():
            if key[0] not in ("DaemonSet", "Deployment", "Job"):
                continue
            for one in containers(document):
                context = one["securityContext"]
                where = f"{name}: {key[2]}: {one['name']}"
                check(context["readOnlyRootFilesystem"], f"{where} may write to its root")
                check("cpu" in one["resources"]["requests"] and "memory" in one["resources"]["limits"], where)
                if one["name"] == "mount-bpffs":
                    continue
                check(context["capabilities"]["drop"] == ["ALL"], f"{where} keeps capabilities")
                check(not context.get("privileged"), f"{where} is privileged")
    spec = agent["spec"]["template"]["spec"]
    check(spec["tolerations"] == [{"operator": "Exists"}], "not every taint is tolerated")
    check(spec["priorityClassName"] == "system-node-critical", "the agent may be evicted")
    check("lifecycle" not in containers(agent)[-1], "a preStop hook")
    return f"{len(asked)} capabilities: {', '.join(sorted(asked))}"


# Every path that the agent asks the API server for, and the rights that takes: group, resource, namespace, name,
# verbs. "*" as name = any.
_CALLS: tuple[tuple[str, tuple[str, str, str, str, tuple[str, ...]]], ...] = (
    (r"/api/v1/nodes\?.*", ("", "nodes", "", "*", ("list", "watch"))),
    (r"/api/v1/nodes/?(\{\})?", ("", "nodes", "", "*", ("get", "patch"))),
    (r"/api/v1/nodes/.*/status", ("", "nodes/status", "", "*", ("patch",))),
    (
        r"/apis/discovery\.k8s\.io/v1/namespaces/default/endpointslices\b.*",
        ("discovery.k8s.io", "endpointslices", "default", "kubernetes", ("get", "list", "watch")),
    ),
    (
        r"/apis/events\.k8s\.io/v1/namespaces/default/events\b.*",
        ("events.k8s.io", "events", "default", "*", ("create", "patch")),
    ),
)


def rights() -> str:
    """The service account may do what the agent's sources ask for, and writes nothing but Nodes and Events."""
    found = kustomize("base")
    allowed = _rules_of(found, "wglan-agent")
    paths = set()
    for file in (ROOT / "agent").rglob("*.cpp"):
        paths |= set(re.findall(r'"(/apis?/[^"]+)"', file.read_text()))
    check(len(paths) >= 3, f"the agent's sources ask for {paths} alone")
    for path in sorted(paths):
        calls = [call for pattern, call in _CALLS if re.fullmatch(pattern, path)]
        check(calls, f"the agent asks for {path}: give it the right, and tell kubelib/contents.py")
        for group, resource, namespace, name, verbs in calls:
            for verb in verbs:
                check(
                    any(_grants(rule, place, group, resource, namespace, name, verb) for place, rule in allowed),
                    f"{path}: nobody lets the agent {verb} {resource} of {group or 'core'}",
                )
    writes = {
        (group, resource)
        for _, rule in allowed
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        if set(rule["verbs"]) - {"get", "list", "watch"}
    }
    wanted = {("", "nodes"), ("", "nodes/status"), ("events.k8s.io", "events")}
    check(writes == wanted, f"the agent may write {writes}")
    for _, rule in allowed:
        check("*" not in rule["verbs"] + rule["resources"] + rule["apiGroups"], f"a wildcard: {rule}")
    return f"{len(paths)} paths that the agent asks for, all allowed"


def _rules_of(found: dict[Key, Object], account: str) -> list[tuple[str, Object]]:
    rules = []
    for (kind, namespace, _), document in found.items():
        if kind not in ("RoleBinding", "ClusterRoleBinding"):
            continue
        if not any(one["name"] == account for one in document["subjects"]):
            continue
        role = document["roleRef"]
        place = namespace if role["kind"] == "Role" else ""
        rules += [(namespace, rule) for rule in found[role["kind"], place, role["name"]]["rules"]]
    return rules


def _grants(rule: Object, place: str, group: str, resource: str, namespace: str, name: str, verb: str) -> bool:
    names = rule.get("resourceNames")
    return (
        place in ("", namespace)
        and group in rule["apiGroups"]
        and resource in rule["resources"]
        and verb in rule["verbs"]
        and (names is None or name in names)
    )


def metrics() -> str:
    """Alerts ask for metrics, and drop reasons, that the agent has."""
    source = (ROOT / "agent/control/metrics_text.cpp").read_text()
    exported = set(re.findall(r'"(wglan_\w+)"', source))
    states = set(re.findall(r'return "(\w+)"', (ROOT / "agent/model/text.cpp").read_text()))
    reasons = set(re.findall(r'X\(\w+, \d+, "(\w+)"\)', (ROOT / "maps/wglan_maps.h").read_text()))
    check(exported and reasons, "the sources have moved")
    rules = kustomize("monitoring")["PrometheusRule", NAMESPACE, "wglan-agent"]
    used = set()
    alerts = [alert for group in rules["spec"]["groups"] for alert in group["rules"]]
    for alert in alerts:
        names = set(re.findall(r"\bwglan_\w+", alert["expr"]))
        check(names and names <= exported, f"{alert['alert']}: the agent has no {names - exported}")
        used |= names
        for label, value in re.findall(r'(\w+)=~?"([^"]*)"', alert["expr"]):
            known = {"state": states, "reason": reasons}.get(label)
            check(known is not None, f"{alert['alert']}: what is {label}?")
            check(set(value.split("|")) <= (known or set()), f"{alert['alert']}: {label} is never {value}")
    agent = containers(kustomize("base")["DaemonSet", NAMESPACE, "wglan-agent"])[-1]
    ports = {port["name"] for port in agent["ports"]}
    monitor = kustomize("monitoring")["PodMonitor", NAMESPACE, "wglan-agent"]
    for one in monitor["spec"]["podMetricsEndpoints"]:
        check(one["port"] in ports, f"the PodMonitor's port {one['port']} isn't there")
    return f"{len(alerts)} alerts on {len(used)} metrics"


def container_files() -> str:
    """Programs that manifests start are in the image, by either recipe, and scripts are shell."""
    recipe = (ROOT / "Containerfile").read_text() + (ROOT / "tools/image").read_text()
    for program in ("wglan-agent", "wglanctl", "wglan-discovery", "wireguard-go", "bpftool", "curl", "jq", "iproute2"):
        check(recipe.count(program) >= 2, f"Containerfile and tools/image should both have {program}")
    scripts = [CONFIG / "helm/wglan/files/uninstall.sh"]
    with tempfile.TemporaryDirectory() as folder:
        for name in ("base", "overlays/userspace-wireguard", "overlays/uninstall"):
            for key, document in kustomize(name).items():
                for one in containers(document) if key[0] == "DaemonSet" else []:
                    if one["command"][:2] == ["/bin/sh", "-c"]:
                        script = Path(folder) / f"{len(scripts)}.sh"
                        script.write_text([*one["command"], *one.get("args", [])][2])
                        scripts.append(script)
        for script in scripts:
            done = subprocess.run(["sh", "-n", script], capture_output=True, text=True, check=False)
            check(done.returncode == 0, done.stderr)
    check(len(scripts) >= 5, f"only {len(scripts)} scripts")
    return f"{len(scripts)} scripts"
