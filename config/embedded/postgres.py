"""PostgreSQL as an embedded server: how its cluster is made, started, recognised and asked.

Owns its settings. Refuses TCP, and half a cluster: initdb works under another name until it has finished.
"""

import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

import psutil

from config.embedded.binaries import POSTGRES
from config.embedded.errors import NotUp
from config.embedded.owned import make_folder, open_file
from config.embedded.processes import detached, send, working_in
from config.embedded.server import Server, Start

DATABASE = "fleet"

_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "max_wal_size": "1GB",
    # Before a recovery every file is flushed: one by one that took 4 s on a busy machine, this way 0.2 s.
    "recovery_init_sync_method": "syncfs",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # Statements and details of errors carry recipients and bodies.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}
_NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
_CONNECT_TIMEOUT_SECONDS = 5
_STATUS_LINE = 7
"""The line of postmaster.pid (counted from 0) with the server's state, "ready" once it takes connections.

Asking the file first keeps our tries out of its log and out of the CPU time by which its progress is seen.
Source: src/include/utils/pidfile.h.
"""


class Postgres(Server):
    """The PostgreSQL of one FLEET_HOME."""

    name = "PostgreSQL"
    wheel = POSTGRES
    farewell = signal.SIGINT
    """The fast shutdown: connections are ended, nothing that was committed needs a recovery."""
    abort = signal.SIGQUIT

    @property
    def folder(self) -> Path:
        """The data directory."""
        return self.place.postgres

    def leader(self, processes: Sequence[psutil.Process]) -> psutil.Process | None:
        """Return the postmaster; its backends run the same program in the same folder."""
        written = self._pid_file()
        return next((process for process in processes if written[:1] == [str(process.pid)]), None)

    def make_ready(self, start: Start) -> None:
        """Make the cluster where there is none, and remove the lock files of a dead postmaster.

        PostgreSQL believes a lock file if any process has its number; ours knows that nobody works in the folder.
        """
        if not (self.folder / "PG_VERSION").exists():
            self._make_cluster(start)
        socket = self.place.sockets / ".s.PGSQL.5432"
        for stale in (self.folder / "postmaster.pid", socket, socket.with_name(socket.name + ".lock")):
            stale.unlink(missing_ok=True)

    def command(self, start: Start) -> list[str]:
        """Return the postmaster's command; settings on it win over those in the data directory."""
        # The value is a list of folders, in which a name with a comma or a blank needs quotes.
        sockets = '"' + str(self.place.sockets).replace('"', '""') + '"'
        settings = _SETTINGS | {"unix_socket_directories": sockets} | ({} if start.durable else _NOT_DURABLE)
        options = [option for name, value in settings.items() for option in ("-c", f"{name}={value}")]
        return [str(start.program), "-D", str(self.folder), *options]

    def answers(self, leader: psutil.Process) -> bool:
        """Ask for the data directory, once the pid file says that connections are taken."""
        if self._pid_file()[:1] != [str(leader.pid)] or not self._is_ready():
            return False
        served = self._query("postgres", "SHOW data_directory")
        if served and not Path(served).resolve() == self.folder:
            raise NotUp(f"the PostgreSQL at {self.place.sockets} serves {served}, not {self.folder}: run `fleet down`")
        return served is not None

    def progress(self) -> object:
        """Return what a recovery moves, the log and the CPU time; once it is ready, only the answer is missing."""
        spent = [] if self._is_ready() else self.processes()
        written = self.log.stat().st_size if self.log.exists() else 0
        return written, sorted(map(_cpu_seconds, spent))

    def complete(self) -> None:
        """Create the database, if a start was killed before it did so or somebody dropped it."""
        if self._query("postgres", f"SELECT 1 FROM pg_database WHERE datname = '{DATABASE}'") == "":
            self._query("postgres", f"CREATE DATABASE {DATABASE}")

    def _query(self, database: str, statement: str) -> str | None:
        """Return the first value of the answer, "" where it has no rows, None where the server did not answer."""
        import psycopg

        try:
            with psycopg.connect(
                self.place.database_url(database), autocommit=True, connect_timeout=_CONNECT_TIMEOUT_SECONDS
            ) as connection:
                answer = connection.execute(statement.encode())
                row = answer.fetchone() if answer.description else None
                return str(row[0]) if row else ""
        except psycopg.OperationalError as refused:
            self.refusal = str(refused)
            return None

    def _pid_file(self) -> list[str]:
        try:
            return [line.strip() for line in (self.folder / "postmaster.pid").read_text().splitlines()]
        except FileNotFoundError:
            return []

    def _is_ready(self) -> bool:
        return self._pid_file()[_STATUS_LINE:][:1] == ["ready"]

    def _make_cluster(self, start: Start) -> None:
        unfinished = self.folder.with_name(self.folder.name + ".new")
        # An initdb whose starter was killed may still be at work in there.
        for name in ("initdb", self.program):
            for process in working_in(unfinished, name):
                send(process, signal.SIGKILL, unfinished, name)
        shutil.rmtree(unfinished, ignore_errors=True)
        make_folder(unfinished, start.account)
        self._run_initdb(start, unfinished)
        unfinished.rename(self.folder)
        _flush(self.folder.parent)

    def _run_initdb(self, start: Start, folder: Path) -> None:
        program = start.program.with_name("initdb")
        options = ["-E", "UTF8", "--locale=C.UTF-8", "-A", "trust", "-U", "postgres", "--no-instructions"]
        if not start.durable:
            options.append("--no-sync")
        output = open_file(self.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        try:
            subprocess.run(  # noqa: S603 - our own command
                [program, "-D", folder, *options], check=True, **detached(folder, output, start.account)
            )
        except subprocess.CalledProcessError as failed:
            raise NotUp(f"initdb failed; {self.log} ends with:\n{self.last_words(15)}") from failed
        finally:
            os.close(output)


def _cpu_seconds(process: psutil.Process) -> float:
    try:
        spent = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return spent.user + spent.system


def _flush(folder: Path) -> None:
    """Make a rename in `folder` survive a crash of the machine."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
