# SPDX-License-Identifier: Apache-2.0
"""Importing this registers every scenario."""

from . import (
    carry,
    claims,
    direct,
    guard,
    hostile,
    hosts,
    hub,
    input,
    membership,
    rate,
    repair,
    restart,
    routes,
    services,
    settings,
    storm,
    uplinks,
    watching,
)

__all__ = [
    "carry",
    "claims",
    "direct",
    "guard",
    "hostile",
    "hosts",
    "hub",
    "input",
    "membership",
    "rate",
    "repair",
    "restart",
    "routes",
    "services",
    "settings",
    "storm",
    "uplinks",
    "watching",
]
