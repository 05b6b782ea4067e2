"""A stopped process never sends again: when it is continued, it ends before its next instruction.

A process that was stopped (SIGSTOP, a debugger, a suspended job) may stand between the last check of its lease and the
send. When it goes on, another process may long have taken its batch over. So SIGCONT ends it, and the kernel runs that
before the woken thread's next instruction. Refuses Python for it: a Python handler runs some instructions later.
"""

import asyncio
import ctypes
import signal

EXIT_CODE = int(signal.SIGCONT)
"""What the process ends with: libc hands the signal's number to `_exit`."""


def install() -> None:
    """Make SIGCONT end this process, and block it in this thread and in those that it starts from now on."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCONT})
    libc = ctypes.CDLL(None)
    libc.signal(ctypes.c_int(signal.SIGCONT), ctypes.cast(libc["_exit"], ctypes.c_void_p))


async def take_in_this_thread() -> None:
    """Let the loop's thread, the one that sends, be the one that takes the signal."""
    await asyncio.sleep(0)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCONT})
