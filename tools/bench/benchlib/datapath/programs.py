# SPDX-License-Identifier: Apache-2.0
"""The programs by themselves: 256 destinations in turn, by BPF_PROG_TEST_RUN."""

from collections.abc import Mapping
from typing import Any

from .host import Host
from .network import POD4, POD6
from .packets import HOT
from .results import Results, Spread

# BPF_PROG_TEST_RUN takes a packet's type from bytes 12 and 13. Without a MAC header these are the source.
_SOURCES = {4: "8.0.0.1", 6: "2001:db8:86dd::1"}


def measure(hosts: Mapping[str, Host], prefixes: int, passes: int, results: Results) -> None:
    """`hosts` by method."""
    for family in (4, 6):
        pod = {"l2": True, "other": POD4 if family == 4 else POD6}
        tunnel = {"l2": False, "other": _SOURCES[family]}
        egress = hosts["wglan-egress"]
        times = {
            "empty": _times(egress, family, passes, device="up0", hook="", **pod),
            "uplink-egress": _times(egress, family, passes, device="up0", hook="egress", **pod),
            "wglan0-egress": _times(egress, family, passes, device="wglan0", hook="egress", **tunnel),
        }
        if direct := hosts.get("wglan-direct"):
            times["pod-ingress"] = _times(direct, family, passes, device="pod0", hook="ingress", **pod)
        results.programs[family, prefixes] = times


def _times(host: Host, family: int, passes: int, **how: Any) -> Spread:
    return Spread(
        host.worker.call(
            "program", family=family, prefixes=host.prefixes, destinations=HOT, passes=passes, **how
        )
    )
