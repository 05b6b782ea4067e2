"""Living and dying with one's parent, as Linux offers it."""

import ctypes
import os
import signal

_PR_SET_PDEATHSIG = 1


def signal_when_parent_dies(number: signal.Signals = signal.SIGTERM) -> None:
    """Have the kernel send `number` to this process when the thread that started it ends, however it ends."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, number)


def die_with(parent: int) -> None:
    """End with SIGTERM when `parent` dies, and at once where it has died already."""
    signal_when_parent_dies()
    if os.getppid() != parent:
        os._exit(1)
