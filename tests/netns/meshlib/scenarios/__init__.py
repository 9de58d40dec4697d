# SPDX-License-Identifier: Apache-2.0
"""Importing this registers every scenario."""

from . import carry, input, membership, repair, restart, routes, settings

__all__ = ["carry", "input", "membership", "repair", "restart", "routes", "settings"]
