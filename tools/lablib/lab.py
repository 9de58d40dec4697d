# SPDX-License-Identifier: Apache-2.0
"""A lab as a whole: up, found again, down."""

import contextlib
import fcntl
import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path

from . import network, processes
from .discovery import Discovery, missing_programs
from .errors import LabError
from .layout import MAX_NODES, ROOT, Layout
from .node import MOUNT_POINTS, Node

BACKENDS = ("auto", "kernel", "userspace")

# Each section is there, so that a --config-patch can add to it: RFC 6902 doesn't make parents.
_CONFIG = """\
# One file for all nodes of the lab; what differs is $NODE_NAME and each node's patch.json.
cluster: {{tokenFile: {token}}}
node: {{}}
interface: {{backend: {backend}}}
discovery:
  services: [{{url: "{url}", caFile: {ca}}}]
  static: []
advertise: {{}}
peers: {{}}
steering: {{}}
metrics: {{}}
agent: {{}}
"""


@dataclass(frozen=True)
class Settings:
    """What `up` was asked for; kept in lab.json."""

    nodes: int = 3
    backend: str = "auto"
    programs: str = ""
    patches: list[str] = field(default_factory=list)


class Lab:
    def __init__(self, name: str, settings: Settings) -> None:
        self.layout = Layout(name)
        self.settings = settings
        programs = Path(settings.programs)
        patches = [self.layout.directory / name for name in settings.patches]
        self.discovery = Discovery(self.layout, programs)
        self.nodes = {
            f"node{number}": Node(self.layout, number, programs, patches)
            for number in range(1, settings.nodes + 1)
        }

    @property
    def name(self) -> str:
        return self.layout.name

    def node(self, name: str) -> Node:
        if name not in self.nodes:
            raise LabError(f"lab {self.name} has no {name}: its nodes are node1 to node{len(self.nodes)}")
        return self.nodes[name]

    # --- up -----------------------------------------------------------------------------------

    @classmethod
    def create(
        cls,
        name: str,
        *,
        nodes: int = 3,
        backend: str = "auto",
        patches: Sequence[Path] = (),
        programs: Path | None = None,
    ) -> "Lab":
        """Namespaces, links, configuration and the running discovery service; no agent yet.

        A failure leaves what was made: call destroy().
        """
        if os.geteuid() != 0:
            raise LabError("a lab needs root: use sudo")
        if not 1 <= nodes <= MAX_NODES:
            raise LabError(f"--nodes {nodes}: 1 to {MAX_NODES} are possible")
        if backend not in BACKENDS:
            raise LabError(f"--backend {backend}: use one of {', '.join(BACKENDS)}")
        programs = (programs or default_programs()).resolve()
        if missing := missing_programs(programs):
            raise LabError(f"{programs} has no {', '.join(missing)}: run tools/build, or use --bin")
        layout = Layout(name)
        if layout.directory.exists() or network.namespaces_of(layout):
            raise LabError(f"lab {name} is there already: tools/lab down --name {name}")
        for patch in patches:
            if not patch.exists() or patch.is_dir():
                raise LabError(f"--config-patch {patch}: no such file")
        copies = [f"patch{index}{patch.suffix}" for index, patch in enumerate(patches)]
        lab = cls(name, Settings(nodes, backend, str(programs), copies))
        with _everything_locked():
            layout.directory.mkdir(mode=0o755, parents=True)
            layout.description.write_text(json.dumps(asdict(lab.settings)) + "\n")
            for path in MOUNT_POINTS:
                _make_mount_point(Path(path))
        for patch, copy in zip(patches, copies, strict=True):
            shutil.copyfile(patch, layout.directory / copy)
        lab._make()
        return lab

    def _make(self) -> None:
        layout = self.layout
        layout.token.touch(mode=0o600)
        layout.token.write_text(secrets.token_urlsafe(32) + "\n")
        layout.config.write_text(
            _CONFIG.format(
                token=layout.token, backend=self.settings.backend, url=self.discovery.url, ca=layout.ca
            )
        )
        network.make_underlay(layout)
        self.discovery.create()
        self.discovery.start()
        for node in self.nodes.values():
            node.create()

    def start_agents(self, *, timeout: float = 30) -> None:
        """Starts all agents at once; returns when each sees every other one up."""
        for node in self.nodes.values():
            node.agent_launch()
        self._for_each(Node.agent_await)
        self.wait_ready(timeout=timeout)

    def wait_ready(self, *, timeout: float = 30) -> None:
        self._for_each(lambda node: node.wait_ready(len(self.nodes) - 1, timeout=timeout))

    def _for_each(self, action: Callable[[Node], None]) -> None:
        """For all nodes at once; raises what the first that failed raised."""
        with ThreadPoolExecutor(max_workers=16) as pool:
            for done in [pool.submit(action, node) for node in self.nodes.values()]:
                done.result()

    # --- found again --------------------------------------------------------------------------

    @classmethod
    def load(cls, name: str | None = None) -> "Lab":
        """The lab of that name, or the only one there is besides those of running tests."""
        if name is None:
            labs = [lab for lab in existing_labs() if not lab.startswith("test-")]
            if len(labs) != 1:
                raise LabError(
                    "there is no lab: tools/lab up"
                    if not labs
                    else f"which lab? --name {' or --name '.join(labs)}"
                )
            name = labs[0]
        layout = Layout(name)
        try:
            return cls(name, Settings(**json.loads(layout.description.read_text())))
        except FileNotFoundError as error:
            raise LabError(f"there is no lab {name}: tools/lab up --name {name}") from error

    # --- down ---------------------------------------------------------------------------------

    @staticmethod
    def destroy(name: str) -> None:
        """Removes all of a lab, whatever state it is in; fine when there is nothing."""
        layout = Layout(name)
        namespaces = network.namespaces_of(layout)
        processes.end_all_in_namespaces(namespaces)
        for namespace in namespaces:
            network.remove_namespace(namespace)
        with _everything_locked():
            shutil.rmtree(layout.directory, ignore_errors=True)
            if not existing_labs():
                _remove_mount_points()


def existing_labs() -> list[str]:
    """Labs with files or namespaces, whole or not."""
    names: set[str] = set()
    with contextlib.suppress(FileNotFoundError):
        names |= {entry.name for entry in ROOT.iterdir() if entry.is_dir()}
    with contextlib.suppress(FileNotFoundError):
        for namespace in os.listdir("/run/netns"):
            if namespace.startswith("wglan-") and namespace.endswith("-underlay"):
                names.add(namespace.removeprefix("wglan-").removesuffix("-underlay"))
    return sorted(names)


def default_programs() -> Path:
    """$WGLAN_BIN, else the first preset that has been built."""
    if chosen := os.environ.get("WGLAN_BIN"):
        return Path(chosen)
    build = Path(__file__).resolve().parents[2] / "build"
    for preset in ("release", "debug", "asan"):
        if not missing_programs(build / preset / "bin"):
            return build / preset / "bin"
    return build / "release" / "bin"


@contextlib.contextmanager
def _everything_locked() -> Iterator[None]:
    """Folders that all labs share are made and removed under one lock, which leaves no file."""
    lock = os.open(ROOT.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _make_mount_point(path: Path) -> None:
    if not path.is_dir():
        path.mkdir(mode=0o755)
        with (ROOT / ".made").open("a") as made:
            made.write(f"{path}\n")


def _remove_mount_points() -> None:
    """Those that a lab made and nobody has put anything into, and the labs' own folder."""
    made = ROOT / ".made"
    if made.exists():
        for line in made.read_text().splitlines():
            with contextlib.suppress(OSError):
                Path(line).rmdir()
        made.unlink()
    with contextlib.suppress(OSError):
        ROOT.rmdir()
