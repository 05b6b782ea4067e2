"""A stopped process never sends again: when it is continued, it ends before its next instruction.

A process that was stopped (SIGSTOP, Ctrl-Z) may stand between the last check of its lease and the send. When it goes
on, another process may long have taken its batch over. So SIGCONT ends it, and the kernel runs that before the woken
thread's next instruction, where exactly one thread, the one that sends, has the signal unblocked. Refuses Python for
it: a Python handler runs some instructions later. What freezes a process without signals (a paused virtual machine or
container, a debugger) is not seen here; the check of the lease before each request stands against that.
"""

import ctypes
import signal

EXIT_CODE = int(signal.SIGCONT)
"""What the process ends with: the kernel hands the signal's number to `_exit`."""


def install() -> None:
    """Make SIGCONT end this process, and block it in this thread and in those that it starts from now on.

    Call it in the main thread before there is any other. While every thread blocks it, a SIGCONT waits for the first
    that does not.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCONT})
    libc = ctypes.CDLL(None)
    libc.signal(ctypes.c_int(signal.SIGCONT), ctypes.cast(libc["_exit"], ctypes.c_void_p))


async def take_in_this_thread() -> None:
    """Let the loop's thread, the one that sends, take the signal; without `install` it is ignored, as ever."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCONT})
