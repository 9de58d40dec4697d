# SPDX-License-Identifier: Apache-2.0
"""Importing this registers every scenario."""

from . import (
    carry,
    claims,
    direct,
    hostile,
    hosts,
    input,
    membership,
    repair,
    restart,
    routes,
    services,
    settings,
)

__all__ = [
    "carry",
    "claims",
    "direct",
    "hostile",
    "hosts",
    "input",
    "membership",
    "repair",
    "restart",
    "routes",
    "services",
    "settings",
]
