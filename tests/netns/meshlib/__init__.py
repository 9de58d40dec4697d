# SPDX-License-Identifier: Apache-2.0
"""Scenarios of a live mesh, each in a lab of its own; tests/netns/mesh.py runs them."""

import sys
from pathlib import Path

_TOOLS = Path(__file__).resolve().parents[3] / "tools"
sys.path[:0] = [str(_TOOLS), str(_TOOLS / "bench")]
