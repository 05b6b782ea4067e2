"""The life of one server: found or started, waited for until it answers, ended.

Owns the order of these steps and every decision about somebody else's process. Refuses to call a server up before it
has answered a query from our folder, and to remove a pid file while any process still works there.
"""

import os
import signal
import time

import psutil

from config.embedded.errors import EmbeddedError, NotUp
from config.embedded.owned import open_file
from config.embedded.patience import Patience
from config.embedded.processes import detached, is_alive, is_here, launch, send
from config.embedded.server import Server, Start

ORPHANS_SECONDS = 5.0
"""Backends of a killed postmaster notice its death at their next wait. One that computes may not for hours; then it
gets the signal that its postmaster would have sent it. The recovery that follows treats both the same."""
FAREWELL_SECONDS = 60.0
"""PostgreSQL writes a checkpoint before it goes; cut short, it only costs a recovery at the next start."""
ABORT_SECONDS = 10.0
_PAUSE_SECONDS = 0.02


def find_up(server: Server) -> psutil.Process | None:
    """Return the server's process once it answers; None where none runs. Raises NotUp where it does not move."""
    leader = _settled_leader(server)
    while leader is not None:
        if _answers_at_last(server, leader):
            return leader
        # It ended while it was waited for: it was shutting down, or was killed just now.
        leader = _settled_leader(server)
    return None


def start(server: Server, needs: Start) -> psutil.Process:
    """Start a server that `find_up` did not find; return its process once it answers. The caller holds the start lock.

    Raises NotUp with the end of its log where it dies.
    """
    server.make_ready(needs)
    output = open_file(server.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND)
    try:
        leader = launch(server.command(needs), **detached(server.folder, output, needs.account))
    finally:
        os.close(output)
    if not _answers_at_last(server, leader):
        raise NotUp(f"{server.name} ended while it started; {server.log} ends with:\n{server.last_words(15)}")
    server.complete()
    return leader


def bring_down(server: Server) -> bool:
    """End the server and everything it left behind. True if there was something to end.

    Needs no lock: it signals only processes that it has recognised. Raises EmbeddedError if one survives SIGKILL.
    """
    processes = server.processes()
    if not processes:
        return False
    leader = server.leader(processes)
    if leader is not None:
        send(leader, server.farewell, server.folder, server.program)
        if _all_gone(server, FAREWELL_SECONDS):
            return True
    _abort(server)
    return True


def end_removed(server: Server) -> None:
    """End what still works in a removed folder that had the path of ours; it has nothing left to save."""
    for process in server.processes():
        if not is_here(process, server.folder):
            send(process, signal.SIGKILL, server.folder, server.program)


def _settled_leader(server: Server) -> psutil.Process | None:
    """Return the server's process; where only orphans of an earlier one work, return None after they are gone."""
    end_removed(server)
    patience = Patience(f"waiting for what a killed {server.name} left behind", server.progress)
    while processes := server.processes():
        leader = server.leader(processes)
        if leader is not None:
            return leader
        if patience.waited_seconds > ORPHANS_SECONDS:
            _abort(server)
        patience.wait()
    return None


def _answers_at_last(server: Server, leader: psutil.Process) -> bool:
    """Wait until the server answers (True) or its process has ended (False)."""
    sentence = f"waiting for {server.name} in {server.folder}"
    patience = Patience(sentence, server.progress, lambda: server.refusal or server.last_words())
    while not server.answers(leader):
        if not is_alive(leader):
            return False
        patience.wait()
    return True


def _abort(server: Server) -> None:
    for number in (server.abort, signal.SIGKILL):
        for process in server.processes():
            send(process, number, server.folder, server.program)
        if _all_gone(server, ABORT_SECONDS):
            return
    raise EmbeddedError(f"{server.name} in {server.folder} cannot be ended: {server.processes()}")


def _all_gone(server: Server, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while server.processes():
        if time.monotonic() > deadline:
            return False
        time.sleep(_PAUSE_SECONDS)
    return True
