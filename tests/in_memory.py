"""Folders for servers whose data nobody needs: in memory where the machine offers enough of it, on disk otherwise.

A database for each test is a thousand files made and removed again; on a disk that takes most of a test's time. A test
run that was killed leaves its folder, which the next run removes.
"""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

MEMORY = Path("/dev/shm")
ENOUGH_BYTES = 2 * 1024**3
_NAME = re.compile(r"fleet-tests-(\d+)-")


@contextmanager
def folder() -> Iterator[Path]:
    """Give an empty folder that other accounts may look into, removed at the end."""
    where = MEMORY if _is_roomy() else None
    with tempfile.TemporaryDirectory(
        prefix=f"fleet-tests-{os.getpid()}-", dir=where, ignore_cleanup_errors=True
    ) as name:
        Path(name).chmod(0o755)  # as root the servers run as another account
        yield Path(name)


def _is_roomy() -> bool:
    """Tell whether there is enough memory, after removing what killed runs left in it."""
    if not os.access(MEMORY, os.W_OK):
        return False
    for left in MEMORY.iterdir():
        named = _NAME.match(left.name)
        if named and not psutil.pid_exists(int(named[1])):
            shutil.rmtree(left, ignore_errors=True)
    return min(shutil.disk_usage(MEMORY).free, psutil.virtual_memory().available) > ENOUGH_BYTES
