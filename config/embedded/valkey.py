"""Valkey as an embedded server: a queue without persistence, since the backlog lives in PostgreSQL.

Owns its settings. Refuses TCP, and to write anything but its log.
"""

import signal
import socket
from collections.abc import Sequence
from pathlib import Path

import psutil

from config.embedded.binaries import VALKEY
from config.embedded.errors import NotUp
from config.embedded.processes import is_here
from config.embedded.server import Server, Start

_TIMEOUT_SECONDS = 5.0


class Valkey(Server):
    """The Valkey of one FLEET_HOME."""

    name = "Valkey"
    wheel = VALKEY
    farewell = signal.SIGTERM
    abort = signal.SIGKILL

    @property
    def folder(self) -> Path:
        """The working directory; it stays empty."""
        return self.place.valkey

    def leader(self, processes: Sequence[psutil.Process]) -> psutil.Process | None:
        """Return the only process there is: without persistence it has no children."""
        return next((process for process in processes if is_here(process, self.folder)), None)

    def make_ready(self, start: Start) -> None:
        """Remove the socket of a dead server, so that nothing but ours can answer there."""
        self.place.redis_socket.unlink(missing_ok=True)

    def command(self, start: Start) -> list[str]:
        """Return the command with all its settings; there is no file of them."""
        settings = {
            "port": "0",
            "unixsocket": str(self.place.redis_socket),
            "unixsocketperm": "700",
            "dir": str(self.folder),
            "save": "",
            "appendonly": "no",
            "daemonize": "no",
        }
        return [str(start.program), *(part for name, value in settings.items() for part in (f"--{name}", value))]

    def answers(self, leader: psutil.Process) -> bool:
        """Ask for the working directory."""
        served = self._directory()
        if served and not Path(served).resolve() == self.folder:
            raise NotUp(f"the Valkey at {self.place.redis_socket} serves {served}, not {self.folder}: run `fleet down`")
        return bool(served)

    def progress(self) -> object:
        """Return always the same: it has nothing to restore and answers within a moment, or not at all."""
        return None

    def complete(self) -> None:
        """Make nothing: it starts empty on purpose."""

    def _directory(self) -> str:
        """Return what the server says is its directory, "" where it does not answer.

        One inline command does not need a client library, which takes longer to import than Valkey to start.
        The answer has five lines: *2, $3, dir, $<length>, <the directory>.
        """
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_TIMEOUT_SECONDS)
            try:
                connection.connect(str(self.place.redis_socket))
                connection.sendall(b"CONFIG GET dir\r\n")
                with connection.makefile("rb") as answer:
                    return [answer.readline() for _ in range(5)][-1].decode().strip("\r\n")
            except OSError as refused:
                self.refusal = str(refused)
                return ""
