"""Locks between processes: flock on files in FLEET_HOME, which the kernel lets go when their process dies.

Owns which lock means what. Refuses to remove a lock file: a file that was removed and made again is two locks.
"""

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from config.embedded.owned import open_file

USE_LOCK = "use.lock"
"""Shared by every user of the servers. Exclusive means: nobody uses them, and the holder may end them."""
START_LOCK = "start.lock"
"""Exclusive while servers are looked at and started. Taken after the use lock, never before it: the one who holds the
use lock exclusively waits for nothing, so nobody waits in a circle."""
KEEPER_LOCK = "keeper.lock"
"""Exclusive for the life of the keeper: free means that no keeper lives."""


class Lock:
    """One open lock file. Closing it lets go of what it holds; a forked child keeps it held until it executes."""

    def __init__(self, path: Path, *, create: bool) -> None:
        """Open `path`. Raises FileNotFoundError where it is missing and not to be created."""
        self.path = path
        self._descriptor = open_file(path, os.O_RDWR | (os.O_CREAT if create else 0))

    def share(self) -> None:
        """Wait until nobody holds it exclusively, then hold it together with others."""
        fcntl.flock(self._descriptor, fcntl.LOCK_SH)

    def seize(self) -> None:
        """Wait until nobody else holds it, then hold it alone."""
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)

    def try_seize(self) -> bool:
        """Hold it alone if that is possible now. On False, what was held before may be lost."""
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def is_current(self) -> bool:
        """Tell whether `path` still leads to this file; not so after somebody removed FLEET_HOME and made it again."""
        try:
            return os.path.samestat(os.fstat(self._descriptor), self.path.stat())
        except FileNotFoundError:
            return False

    def fileno(self) -> int:
        """Return the descriptor, so that a child can inherit the lock."""
        return self._descriptor

    def close(self) -> None:
        """Let go and close the file."""
        os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def hold(path: Path, *, exclusive: bool, create: bool) -> Lock:
    """Return the lock at `path`, held. Raises as `Lock` does."""
    while True:
        lock = Lock(path, create=create)
        try:
            (lock.seize if exclusive else lock.share)()
            if lock.is_current():
                return lock
        except BaseException:
            lock.close()
            raise
        lock.close()
