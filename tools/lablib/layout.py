# SPDX-License-Identifier: Apache-2.0
"""Names, paths and addresses of a lab: all that follows from its name and a node's number."""

import re
from dataclasses import dataclass
from pathlib import Path

from .errors import LabError

ROOT = Path("/run/wglan-lab")
MAX_NODES = 200
DISCOVERY_HOST = 250
DISCOVERY_PORT = 51821


@dataclass(frozen=True)
class Layout:
    name: str

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,31}", self.name):
            raise LabError(f"lab name {self.name!r}: use up to 32 of a-z, 0-9 and -")

    @property
    def directory(self) -> Path:
        return ROOT / self.name

    @property
    def description(self) -> Path:
        return self.directory / "lab.json"

    @property
    def config(self) -> Path:
        return self.directory / "config.yaml"

    @property
    def token(self) -> Path:
        return self.directory / "token"

    @property
    def ca(self) -> Path:
        return self.directory / "ca.pem"

    @property
    def underlay(self) -> str:
        return f"wglan-{self.name}-underlay"

    @property
    def discovery(self) -> str:
        return f"wglan-{self.name}-discovery"

    def node_namespace(self, node: str) -> str:
        return f"wglan-{self.name}-{node}"

    def pod_namespace(self, node: str, pod: str) -> str:
        return f"wglan-{self.name}-{node}-{pod}"

    def owns_namespace(self, namespace: str) -> bool:
        """True for the namespaces above, false for those of a lab whose name merely starts alike."""
        rest = namespace.removeprefix(f"wglan-{self.name}-")
        return rest != namespace and re.fullmatch(r"underlay|discovery|node\d+(-.+)?", rest) is not None


@dataclass(frozen=True)
class NodeAddresses:
    """Decimal numbers stand in IPv6 addresses as text: node 12 is 2001:db8::12."""

    number: int

    @property
    def ipv4(self) -> str:
        return f"192.0.2.{self.number}"

    @property
    def ipv6(self) -> str:
        return f"2001:db8::{self.number}"

    @property
    def mac(self) -> str:
        return f"00:16:3e:57:67:{self.number:02x}"

    @property
    def pod_prefix4(self) -> str:
        return f"10.244.{self.number}.0/24"

    @property
    def pod_prefix6(self) -> str:
        return f"fd00:244:{self.number}::/64"

    @property
    def pod_gateway4(self) -> str:
        return f"10.244.{self.number}.1"

    @property
    def pod_gateway6(self) -> str:
        return f"fd00:244:{self.number}::1"

    def pod4(self, index: int) -> str:
        return f"10.244.{self.number}.{index}"

    def pod6(self, index: int) -> str:
        return f"fd00:244:{self.number}::{index}"
