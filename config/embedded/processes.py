"""Processes of the servers: found by where they work, started in their own session, signalled only when recognised.

Refuses to trust a number: a pid file may be older than the machine's last start, and its number may be anybody's by
now. A process is ours if it runs the server's program and its working directory is the server's folder.
"""

import os
import signal
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

from config.embedded.account import Account

# Nothing of the caller's environment: PGPORT, PGDATA or a locale would change what a server does.
ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "TZ": "UTC"}


def working_in(folder: Path, program: str) -> list[psutil.Process]:
    """Return the live processes that run `program` (a name) in `folder` (absolute, resolved).

    The name and not the path of the program: two environments may serve the same FLEET_HOME from two copies of a wheel.
    """
    found = []
    # Not process_iter: it keeps what it knew of a number when the number already belongs to a new process.
    for process_id in psutil.pids():
        try:
            process = psutil.Process(process_id)
        except psutil.Error:
            continue
        if _works_in(process, folder, program):
            found.append(process)
    return found


def _works_in(process: psutil.Process, folder: Path, program: str) -> bool:
    try:
        # Both are unreadable for a process that is gone, a zombie or another user's: none of them can be ours.
        return process.cwd() == str(folder) and Path(process.exe()).name == program
    except (psutil.Error, OSError):
        return False


def is_here(process: psutil.Process, folder: Path) -> bool:
    """Tell whether the process works in the folder that has this path now, not in a removed one that had it before."""
    try:
        return folder.samefile(f"/proc/{process.pid}/cwd")
    except OSError:
        return False


def is_alive(process: psutil.Process) -> bool:
    """Tell whether this very process, not a later one of its number, still runs; a zombie does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def send(process: psutil.Process, number: signal.Signals, folder: Path, program: str) -> None:
    """Signal a process found by `working_in`; does nothing if it ended or is another one by now."""
    try:
        # The handle keeps meaning this process: recognised after it was opened, there is no moment for a mix-up.
        handle = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return
    except OSError:
        # A kernel without such handles: psutil compares the time of creation before it signals.
        if _works_in(process, folder, program):
            process.send_signal(number)
        return
    try:
        if process.is_running() and _works_in(process, folder, program):
            signal.pidfd_send_signal(handle, number)
    except ProcessLookupError:
        return
    finally:
        os.close(handle)


def detached(folder: Path, output: int, account: Account | None = None) -> dict[str, Any]:
    """Return the arguments with which `subprocess` starts a program in `folder`, clear of the caller.

    It has a session of its own, so that neither Ctrl-C nor the closing of a terminal reaches it.
    """
    return {
        "cwd": folder,
        "env": ENVIRONMENT,
        "stdin": subprocess.DEVNULL,
        "stdout": output,
        "stderr": output,
        "start_new_session": True,
        "umask": 0o077,
        **(account.identity() if account else {}),
    }


def launch(command: Sequence[str], **options: Any) -> psutil.Process:
    """Start a program that outlives this process, with `detached` options, and return it at once.

    A child changes its folder before it lets go of the locks that it inherited: whoever gets the start lock after this
    process was killed finds the child in its folder.
    """
    started = subprocess.Popen(command, **options)  # noqa: S603 - commands of this package only
    process = psutil.Process(started.pid)
    # It is a child of this process only by chance; the thread keeps it from staying a zombie when it ends.
    threading.Thread(target=started.wait, name=f"reap {process.pid}", daemon=True).start()
    return process
