# SPDX-License-Identifier: Apache-2.0
"""A pod: a namespace behind a veth of its node."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Pod:
    node: str
    name: str
    namespace: str
    device: str  # the node's end of the veth
    ipv4: str
    ipv6: str

    def command(self, arguments: list[str]) -> list[str]:
        """The command line that runs the arguments inside."""
        return ["nsenter", f"--net=/run/netns/{self.namespace}", "--", *arguments]
