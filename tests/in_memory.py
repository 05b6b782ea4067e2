"""Folders for servers whose data nobody needs: in memory where the machine offers enough of it, on disk otherwise.

A database for each test is a thousand files made and removed again; on a disk that takes most of a test's time. A run
that was killed leaves its folder in memory, and the next run removes it.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

MEMORY = Path("/dev/shm")
ENOUGH_BYTES = 2 * 1024**3
_PREFIX = "fleet-tests-"
_IN_USE = "in-use"
"""A file that whoever uses the folder holds locked: the kernel knows when it is dead."""


@contextmanager
def folder() -> Iterator[Path]:
    """Give an empty folder that other accounts may look into, removed at the end."""
    where = MEMORY if _is_roomy() else None
    with (
        tempfile.TemporaryDirectory(prefix=_PREFIX, dir=where, ignore_cleanup_errors=True) as name,
        (Path(name) / _IN_USE).open("w") as held,
    ):
        fcntl.flock(held, fcntl.LOCK_EX)
        Path(name).chmod(0o755)  # as root the servers run as another account
        yield Path(name)


def _is_roomy() -> bool:
    """Tell whether there is enough memory, after removing what killed runs left in it."""
    if not os.access(MEMORY, os.W_OK):
        return False
    for left in MEMORY.glob(f"{_PREFIX}*"):
        if _is_left(left):
            shutil.rmtree(left, ignore_errors=True)
    return min(shutil.disk_usage(MEMORY).free, psutil.virtual_memory().available) > ENOUGH_BYTES


def _is_left(folder_: Path) -> bool:
    try:
        with (folder_ / _IN_USE).open("r+") as held:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # in use, being made, or another account's
        return False
    return True
