# SPDX-License-Identifier: Apache-2.0
"""Agents against Kubernetes' own API server code, with etcd; tests/kubernetes/apiserver/run.py runs the scenarios."""

import sys
from pathlib import Path

_TESTS = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(_TESTS / "netns"), str(_TESTS / "kubernetes")]
