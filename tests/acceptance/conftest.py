"""The fleet as it runs: real processes against the simulator, on a database of the test's own."""

import json
import os
import signal
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
from click.testing import CliRunner

from benchmarks.running import OURS, ROOT, Fleet, fleet, module, until
from console.cli import main
from tests.conftest import Servers

FULL = os.environ.get("FULL") == "1"
"""The long forms, minutes each; the default run has the short ones."""


@dataclass
class Scene:
    """One fleet, its vendors, its database."""

    fleet: Fleet
    vendor_url: str
    owner: psycopg.Connection

    def stats(self, path: str = "") -> Any:
        """What the simulator counted."""
        with urllib.request.urlopen(f"{self.vendor_url}/stats{path}", timeout=60) as answer:
            return json.load(answer)

    def accepted(self) -> list[dict[str, Any]]:
        """Everything that the simulator accepted."""
        return self._lines("accepted")

    def truth(self) -> list[dict[str, Any]]:
        """What really became of it, and what the fleet was told of it."""
        return self._lines("truth")

    def _lines(self, name: str) -> list[dict[str, Any]]:
        with urllib.request.urlopen(f"{self.vendor_url}/stats/{name}", timeout=60) as answer:
            return [json.loads(line) for line in answer if line.strip()]

    def fault(self, **order: Any) -> None:
        """Order a fault."""
        self._tell("faults", order)

    def call_back(self, **order: Any) -> None:
        """Order callbacks."""
        self._tell("callbacks", order)

    def hook(self, **hook: Any) -> None:
        """Register where a vendor calls back."""
        self._tell("hooks", hook)

    def _tell(self, door: str, order: dict[str, Any]) -> None:
        request = urllib.request.Request(f"{self.vendor_url}/{door}", data=json.dumps(order).encode())
        urllib.request.urlopen(request, timeout=10).close()

    def callbacks(self) -> Any:
        """The callbacks that were ordered, how many of them wait, and what became of the others."""
        with urllib.request.urlopen(f"{self.vendor_url}/callbacks", timeout=60) as answer:
            return json.load(answer)

    def statuses(self) -> dict[str, int]:
        """How many messages are in each status."""
        return dict(self.owner.execute("SELECT status, count(*) FROM channel_outbox GROUP BY status").fetchall())

    def all_are(self, *statuses: str) -> bool:
        """Are all messages in these?"""
        return set(self.statuses()) <= set(statuses)

    def child(self) -> psutil.Process | None:
        """The sending child that began last, if it is at work."""
        return _child_of(
            self.owner.execute("SELECT pid FROM fleet.workers ORDER BY started_at DESC LIMIT 1").fetchone()
        )

    def children(self) -> list[psutil.Process]:
        """The sending children that are at work."""
        rows = self.owner.execute("SELECT DISTINCT pid FROM fleet.workers").fetchall()
        return [child for row in rows if (child := _child_of(row))]


def _child_of(row: tuple[int] | None) -> psutil.Process | None:
    if row is None:
        return None
    try:
        process = psutil.Process(row[0])
        return process if "workers.child" in process.cmdline() else None
    except psutil.Error:  # gone, or a zombie
        return None


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A FLEET_HOME that is not there yet, where another account may reach it: as root the servers run as one."""
    for folder in (tmp_path, *list(tmp_path.parents)[:2]):
        folder.chmod(0o755)
    return tmp_path / "home"


def environment(home: Path, **variables: str) -> dict[str, str]:
    """This process's environment without what configures a fleet, and with these."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    return {**kept, "FLEET_HOME": str(home), "PYTHONPATH": str(ROOT), **variables}


@pytest.fixture
def scene(servers: Servers, database_url: str, redis_url: str, owner: psycopg.Connection) -> Iterator[Scene]:
    """A fleet of which nothing runs yet; `scene.fleet.start` starts its processes. Leases are short."""
    with ExitStack() as stack:
        vendor = stack.enter_context(module("simulator", "--port", "0", "--latency-ms", "40"))
        short = {"FLEET_LEASE_SECONDS": "4", "FLEET_RETRY_BASE_SECONDS": "0.5", "FLEET_DRAIN_SECONDS": "10"}
        built = fleet(database_url, redis_url, vendor, short)
        # A drain takes seconds and is tried elsewhere; only under coverage it is needed, to write down what ran.
        stack.callback(built.stop if "COVERAGE_PROCESS_CONFIG" in os.environ else built.kill)
        yield Scene(built, vendor, owner)


def fleet_here(*arguments: str, env: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    """Run a command in this process: what it asks for is done by others, and a start of Python takes seconds."""
    ended = CliRunner(env=env).invoke(main, arguments)
    print(ended.stdout, ended.stderr)
    return subprocess.CompletedProcess(arguments, ended.exit_code, ended.stdout, ended.stderr)


def at_work(scene: Scene, *queues: str) -> None:
    """Start a scheduler and one unit, and wait until the unit is at work."""
    scene.fleet.start("scheduler", "scheduler")
    scene.fleet.start("worker", "workers", *queues)
    until(lambda: scene.child() is not None)


def reachable(scene: Scene, **variables: str) -> str:
    """Start a web process that vendors reach, with these variables for all processes to come; return its address."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    scene.fleet.environment |= {"FLEET_PUBLIC_URL": url, **variables}
    scene.fleet.start("web", "uvicorn", "console.web:app", "--port", str(port), "--log-level", "error")
    until(lambda: answers(f"{url}/livez"))
    return url


def free_port() -> int:
    """Return a port of this machine that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(url: str) -> bool:
    """Tell whether a web process is up."""
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def ended_with(process: Any, patience_seconds: float = 30) -> int:
    """Ask a process to end, and return its exit code."""
    process.send_signal(signal.SIGTERM)
    return int(process.wait(patience_seconds))


def processes_of(home: Path) -> list[str]:
    """The command lines of whatever still runs under a FLEET_HOME."""
    return [
        " ".join(process.info["cmdline"] or ())
        for process in psutil.process_iter(["cmdline"])
        if str(home) in " ".join(process.info["cmdline"] or ())
    ]
