# SPDX-License-Identifier: Apache-2.0
"""Doing things inside another network namespace without a process a time."""

import ctypes
import os
import threading
from collections.abc import Callable
from typing import TypeVar

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)

T = TypeVar("T")


def enter(namespace: str) -> None:
    """Moves the calling thread, which must end there: it can't be told where it came from."""
    handle = os.open(f"/run/netns/{namespace}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if _libc.setns(handle, _CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"enter {namespace}")
    finally:
        os.close(handle)


def inside(namespace: str, work: Callable[[], T]) -> T:
    """Runs work in a thread of that namespace; sockets made there stay there."""
    results: list[T] = []
    problems: list[BaseException] = []

    def run() -> None:
        try:
            enter(namespace)
            results.append(work())
        except BaseException as problem:  # handed to the caller whole
            problems.append(problem)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if problems:
        raise problems[0]
    return results[0]
