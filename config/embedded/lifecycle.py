"""The life of one server: found or started, waited for until it answers, ended.

Owns the order of these steps and every decision about somebody else's process. Refuses to call a server up before it
has answered a query from our folder, and to remove a pid file while any process still works there.
"""

import os
import signal
import time

import psutil

from config.embedded.errors import EmbeddedError, NotUp, Stalled
from config.embedded.owned import open_file
from config.embedded.patience import Patience
from config.embedded.processes import detached, is_alive, is_here, launch, send
from config.embedded.server import Server, Start

ORPHANS_SECONDS = 5.0
"""Backends of a killed postmaster notice its death at their next wait. One that computes may not for hours; then it
gets the signal that its postmaster would have sent it. The recovery that follows treats both the same."""
STALLED_SECONDS = 60.0
"""A server that for so long neither computes nor writes to its log does not come up any more."""
STALLED_END_SECONDS = 3.0
"""The same for one that is to end. PostgreSQL writes a checkpoint before it goes, which may take long but moves; 18.6
was seen to wait for ever when told to go during the recovery that follows a killed backend. Cut short, it needs a
recovery at its next start, nothing more."""
_ABORT_SECONDS = 10.0
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
        if _ended_in_order(server):
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
    sentence = f"waiting for what a killed {server.name} left behind"
    patience = Patience(sentence, server.progress, stalled_seconds=STALLED_SECONDS)
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
    patience = Patience(
        sentence, server.progress, lambda: server.refusal or server.last_words(), stalled_seconds=STALLED_SECONDS
    )
    while not server.answers(leader):
        if not is_alive(leader):
            return False
        patience.wait()
    return True


def _ended_in_order(server: Server) -> bool:
    sentence = f"waiting for the end of {server.name} in {server.folder}"
    patience = Patience(sentence, server.progress, server.last_words, stalled_seconds=STALLED_END_SECONDS)
    try:
        while server.processes():
            patience.wait()
    except Stalled:
        return False
    return True


def _abort(server: Server) -> None:
    for number in (server.abort, signal.SIGKILL):
        for process in server.processes():
            send(process, number, server.folder, server.program)
        deadline = time.monotonic() + _ABORT_SECONDS
        while server.processes() and time.monotonic() < deadline:
            time.sleep(_PAUSE_SECONDS)
        if not server.processes():
            return
    raise EmbeddedError(f"{server.name} in {server.folder} cannot be ended: {server.processes()}")
