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
    repair,
    restart,
    routes,
    services,
    settings,
    storm,
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
    "repair",
    "restart",
    "routes",
    "services",
    "settings",
    "storm",
    "watching",
]
