"""Servers, a stand-in and the fleet's processes for the length of a measurement or a test."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from config import embedded
from config.catalog import CATALOG
from outbox.migrate import runner

ROOT = Path(__file__).resolve().parent.parent
PATIENCE_SECONDS = 180.0
OURS = ("FLEET_", "DATABASE_", "REDIS_", "SENTRY_", *(f"{name.upper()}_" for name in CATALOG))
"""How the variables begin that configure a fleet."""


@dataclass(slots=True)
class Fleet:
    """What runs: where the servers are, and the processes by name."""

    database_url: str
    redis_url: str
    environment: dict[str, str]
    root: Path = ROOT
    """The tree that its processes run from."""
    processes: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    def start(self, name: str, *arguments: str) -> "subprocess.Popen[bytes]":
        """Start one process of the fleet: a module and its arguments."""
        command = [sys.executable, "-m", *arguments]
        self.processes[name] = subprocess.Popen(command, env=self.environment, cwd=self.root, start_new_session=True)
        return self.processes[name]

    def stop(self) -> None:
        """Drain and end every process."""
        for process in self.processes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self.processes.values():
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def kill(self) -> None:
        """End every process where it stands, with its children: each was started with a group of its own."""
        for process in self.processes.values():
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        for process in self.processes.values():
            process.wait()

    def connect(self) -> "psycopg.Connection[tuple[object, ...]]":
        """Connect as the platform's owner."""
        return psycopg.connect(self.database_url, autocommit=True)


@contextmanager
def servers() -> Iterator[embedded.Servers]:
    """Embedded servers in a folder of their own, migrated."""
    with bare_servers() as running:
        runner.migrate(running.database_url, lambda _line: None)
        yield running


@contextmanager
def bare_servers() -> Iterator[embedded.Servers]:
    """Embedded servers in a folder of their own, empty."""
    with tempfile.TemporaryDirectory(prefix="fleet-", ignore_cleanup_errors=True) as folder:
        home = Path(folder)
        home.chmod(0o755)  # as root the servers run as another account, which must reach its data
        with embedded.running(home) as running:
            yield running
        embedded.erase(home)


@contextmanager
def module(*arguments: str) -> Iterator[str]:
    """Run a module that prints its address first; give the address."""
    process = subprocess.Popen([sys.executable, "-m", *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().split()[-1]
    finally:
        process.terminate()
        process.wait(20)
        process.stdout.close()


def fleet(database_url: str, redis_url: str, vendor_url: str, settings: Mapping[str, str] | None = None) -> Fleet:
    """Return a fleet whose vendors are all at one address; nothing of it runs yet."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    environment = {
        **kept,
        "PYTHONPATH": str(ROOT),
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "FLEET_DEFAULT_LIMITS": "off",
        "FLEET_LOG_LEVEL": "error",
        **{facts.url_variable: vendor_url for facts in CATALOG.values()},
        **(settings or {}),
    }
    return Fleet(database_url, redis_url, environment)


@contextmanager
def running(fleet_: Fleet, units: Sequence[Sequence[str]]) -> Iterator[Fleet]:
    """Run a scheduler and worker units (each a list of queues); give the fleet when all units are at work."""
    try:
        fleet_.start("scheduler", "scheduler")
        for number, queues in enumerate(units):
            fleet_.start(f"worker{number}", "workers", *queues)
        with fleet_.connect() as database:
            until(lambda: _count(database, "SELECT count(*) FROM fleet.workers") >= len(units))
        yield fleet_
    finally:
        fleet_.stop()


def until(
    condition: Callable[[], bool], patience_seconds: float = PATIENCE_SECONDS, pause_seconds: float = 0.05
) -> None:
    """Wait for a condition. Raises TimeoutError."""
    give_up_at = time.monotonic() + patience_seconds
    while not condition():
        if time.monotonic() > give_up_at:
            raise TimeoutError(f"waited {patience_seconds:g} s in vain")
        time.sleep(pause_seconds)


def _count(database: "psycopg.Connection[tuple[object, ...]]", query: str) -> int:
    row = database.execute(query.encode()).fetchone()
    return int(str(row[0])) if row else 0
