#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs scenarios of a live mesh in labs of their own.

  mesh.py [SCENARIO...] [--backend auto|kernel|userspace] [--bin DIR] [--keep]
  mesh.py --list        each scenario with its ctest labels

Exit 0: all passed; 1: one failed; 77: all were skipped. WGLAN_TEST_SLOW multiplies every time-out.
"""

import sys

sys.dont_write_bytecode = True

import meshlib  # noqa: E402, F401  puts tools/ on the path
from meshlib import runner, scenarios  # noqa: E402, F401  the latter registers them

if __name__ == "__main__":
    sys.exit(runner.main(__doc__))
