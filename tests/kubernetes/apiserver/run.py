#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs agents against Kubernetes' own API server code (see server/ and build), in labs of their own.

  run.py [SCENARIO...] [--backend auto|kernel|userspace] [--bin DIR] [--keep]
  run.py --list         the scenarios

Exit 0: all passed; 1: one failed; 77: all were skipped. WGLAN_TEST_SLOW multiplies every time-out.
"""

import sys

sys.dont_write_bytecode = True

try:
    import apilib  # noqa: F401  puts tests/netns and tests/kubernetes on the path
    import meshlib  # noqa: F401  puts tools/ on the path
    from apilib import scenarios  # noqa: F401  registers them
    from meshlib import runner
except ModuleNotFoundError as error:
    print(f"skipped: {error}: tools/deps test")
    sys.exit(77)

if __name__ == "__main__":
    sys.exit(runner.main(__doc__))
