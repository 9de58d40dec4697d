#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks config/kubernetes.

  run.py --bin FOLDER --build FOLDER [NAME...]     default: all; --list names them

Exit status 0, 1 where a check fails, 77 where one can't be made here (the reason is printed).
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.dont_write_bytecode = True

try:
    from kubelib import contents, policy, rendering, uninstalling
    from kubelib.manifests import Failed, Skipped
except ModuleNotFoundError as error:
    print(f"skipped: {error}: tools/deps test", file=sys.stderr)
    sys.exit(77)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", type=Path, default=Path("build/release/bin"))
    parser.add_argument("--build", type=Path, default=Path("build/release/tests/kubernetes"))
    parser.add_argument("--list", action="store_true")
    parser.add_argument("names", nargs="*")
    options = parser.parse_args(arguments)
    programs, build = options.bin.resolve(), options.build.resolve()
    checks: dict[str, Callable[[], str]] = {
        "kustomizations": rendering.kustomizations,
        "chart": lambda: rendering.chart(build),
        "policy": lambda: policy.policy(build),
        "configurations": lambda: contents.configurations(programs),
        "capabilities": contents.capabilities,
        "rights": contents.rights,
        "metrics": contents.metrics,
        "files": contents.container_files,
        "uninstall": lambda: uninstalling.uninstall(build),
    }
    if options.list:
        print("\n".join(checks))
        return 0
    if unknown := set(options.names) - checks.keys():
        parser.error(f"no such check: {', '.join(sorted(unknown))}")
    failed = skipped = False
    for name in options.names or checks:
        start = time.monotonic()
        try:
            said = checks[name]()
            print(f"{name}: {said} ({time.monotonic() - start:.1f} s)")
        except Skipped as error:
            print(f"skipped: {name}: {error}")
            skipped = True
        except Failed as error:
            print(f"{name}: FAILED: {error}", file=sys.stderr)
            failed = True
    return 1 if failed else 77 if skipped else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
