# SPDX-License-Identifier: Apache-2.0
"""tools/lab's command line."""

import argparse
import os
import signal
import sys
from pathlib import Path
from typing import NoReturn

from .errors import LabError
from .lab import BACKENDS, Lab, existing_labs
from .layout import Layout
from .node import Node


def main(arguments: list[str]) -> int:
    before, command = _split(arguments)
    parser = _parser(argparse.REMAINDER if command is None else "*")
    options = parser.parse_args(before)
    if command is not None:
        if not hasattr(options, "command"):
            parser.error("only exec takes a command after --")
        options.command = command
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        return int(options.action(options) or 0)
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _split(arguments: list[str]) -> tuple[list[str], list[str] | None]:
    """What stands after the first `--` is a command of its own."""
    if "--" not in arguments:
        return arguments, None
    where = arguments.index("--")
    return arguments[:where], arguments[where + 1 :]


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def _parser(command: str) -> argparse.ArgumentParser:
    named = argparse.ArgumentParser(add_help=False)
    named.add_argument(
        "--name", metavar="L", default=argparse.SUPPRESS, help="which lab (default: the only one there is)"
    )
    parser = argparse.ArgumentParser(prog="lab", description="Labs of WgLAN nodes in network namespaces.")
    parser.add_argument("--name", metavar="L", help=argparse.SUPPRESS)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    up = commands.add_parser("up", parents=[named], help="make a lab; returns when all nodes see each other")
    up.add_argument("--nodes", type=int, default=3, metavar="N")
    up.add_argument("--backend", choices=BACKENDS, default="auto")
    up.add_argument(
        "--config-patch",
        action="append",
        type=Path,
        default=[],
        metavar="FILE",
        help="RFC 6902 patch for every node's configuration (repeatable)",
    )
    up.add_argument("--bin", type=Path, metavar="DIR", help="programs (default: build/release/bin)")
    up.set_defaults(action=_up)

    execute = commands.add_parser("exec", parents=[named], help="run a command in a node or a pod")
    execute.add_argument("where", metavar="NODE[/POD]")
    execute.add_argument("command", nargs=command, metavar="-- CMD...")
    execute.set_defaults(action=_exec)

    pod = commands.add_parser("pod", parents=[named], help="make a pod on a node; prints its addresses")
    pod.add_argument("node", metavar="NODE")
    pod.add_argument("pod", metavar="NAME")
    pod.set_defaults(action=_pod)

    agent = commands.add_parser("agent", parents=[named], help="start, stop, kill or restart a node's agent")
    agent.add_argument("node", metavar="NODE")
    agent.add_argument("what", choices=("start", "stop", "kill", "restart"))
    agent.set_defaults(action=_agent)

    status = commands.add_parser("status", parents=[named], help="what the lab is and how it is doing")
    status.set_defaults(action=_status)

    down = commands.add_parser("down", parents=[named], help="remove a lab, whatever state it is in")
    down.add_argument("--all", action="store_true", help="every lab on this machine")
    down.set_defaults(action=_down)
    return parser


def _up(options: argparse.Namespace) -> None:
    name = options.name or "lab"
    Layout(name)
    if name in existing_labs():
        raise LabError(f"lab {name} is there already: tools/lab down --name {name}")
    try:
        lab = Lab.create(
            name,
            nodes=options.nodes,
            backend=options.backend,
            patches=options.config_patch,
            programs=options.bin,
        )
        lab.start_agents()
    except (LabError, KeyboardInterrupt, OSError):
        Lab.destroy(name)
        raise
    print(f"lab {name}: {', '.join(lab.nodes)} see each other; tools/lab exec node1 -- wglanctl status")


def _exec(options: argparse.Namespace) -> NoReturn:
    lab = Lab.load(options.name)
    command: list[str] = options.command
    if not command:
        raise LabError("exec: which command? tools/lab exec node1 -- wglanctl status")
    node_name, _, pod_name = options.where.partition("/")
    node = lab.node(node_name)
    if pod_name:
        pods = node.pods()
        if pod_name not in pods:
            raise LabError(f"{node.name} has no pod {pod_name}: tools/lab pod {node.name} {pod_name}")
        line = pods[pod_name].command(command)
    else:
        line = node.command(command, directory=os.getcwd())
    sys.stdout.flush()
    os.execvpe(line[0], line, {**os.environ, **node.environment()})


def _pod(options: argparse.Namespace) -> None:
    pod = Lab.load(options.name).node(options.node).pod(options.pod)
    print(pod.ipv4)
    print(pod.ipv6)


def _agent(options: argparse.Namespace) -> None:
    node = Lab.load(options.name).node(options.node)
    match options.what:
        case "start":
            node.agent_start()
        case "stop":
            node.agent_stop()
        case "kill":
            node.agent_kill()
        case "restart":
            node.agent_stop()
            node.agent_start()


def _status(options: argparse.Namespace) -> None:
    lab = Lab.load(options.name)
    discovery = lab.discovery.pid()
    print(
        f"lab {lab.name}: {len(lab.nodes)} nodes, backend {lab.settings.backend}, "
        f"files in {lab.layout.directory}"
    )
    print(f"discovery  {lab.discovery.url}  {f'pid {discovery}' if discovery else 'stopped'}")
    for node in lab.nodes.values():
        pods = ", ".join(f"{pod.name} {pod.ipv4}" for pod in node.pods().values())
        print(
            f"{node.name:<10} {node.addresses.ipv4:<12} {node.addresses.ipv6:<15} {_agent_line(node)}"
            f"{f'; pods: {pods}' if pods else ''}"
        )


def _agent_line(node: Node) -> str:
    pid = node.agent_pid()
    if pid is None:
        return "agent stopped"
    if not node.agent_answers():
        return f"agent pid {pid}, doesn't answer"
    peers = node.wglanctl_json("status")["peers"]
    up = sum(peer["state"] == "up" for peer in peers)
    return f"agent pid {pid}, {up} of {len(peers)} peers up"


def _down(options: argparse.Namespace) -> None:
    if os.geteuid() != 0:
        raise LabError("a lab needs root: use sudo")
    if options.all:
        names = existing_labs()
    elif options.name:
        names = [options.name]
    else:
        names = existing_labs()
        if len(names) > 1:
            raise LabError(f"which lab? --name {' or --name '.join(names)}, or --all")
    for name in names:
        Lab.destroy(name)
        print(f"lab {name} is gone")
