"""The clocks of a process. The database's clock is the clock of the ledger; these only measure durations.

Refuses wall-clock time: nothing in the ledger is decided by `time.time()`. Only the age of a vendor's signature is held
against it, at the door.
"""

import time
from collections.abc import Callable

Clock = Callable[[], float]
"""Seconds since an arbitrary moment, never going back. Tests pass their own."""


def boottime() -> float:
    """Return seconds since boot, suspend included.

    `time.monotonic` stands still while a machine sleeps, and a lease measured by it would seem to have time left
    long after the database thinks that it ran out.
    """
    return time.clock_gettime(time.CLOCK_BOOTTIME)
