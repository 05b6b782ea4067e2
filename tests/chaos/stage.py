"""What runs: servers of the run's own, the simulator, and the fleet's processes, each started again when it dies.

Owns the starting and ending. Refuses to disturb anything by itself.
"""

import shutil
import signal
import socket
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import psycopg

from benchmarks.running import Fleet, fleet, module
from config import embedded
from outbox.migrate import runner
from tests.simulated import Simulated

LEASE_SECONDS = 4.0
SETTINGS = {
    "FLEET_LEASE_SECONDS": f"{LEASE_SECONDS:g}",
    "FLEET_RECONCILE_GRACE_SECONDS": "1",
    "FLEET_RECONCILE_HORIZON_SECONDS": "12",
    "FLEET_RETRY_BASE_SECONDS": "0.3",
    "FLEET_RETRY_MAX_ATTEMPTS": "100",
    "FLEET_DRAIN_SECONDS": "3",
    "FLEET_LOG_LEVEL": "error",
}
"""Short leases, so that a run of minutes sees many of them end; a budget of attempts that chaos cannot use up."""
QUEUES = ("email", "sms", "voice", "events", "jobs")
COMMANDS = {
    "scheduler-1": ("scheduler",),
    "scheduler-2": ("scheduler",),
    "worker-1": ("workers", *QUEUES),
    "worker-2": ("workers", *QUEUES),
}


@dataclass(slots=True)
class Stage:
    """One run's scene."""

    home: Path
    vendors: Simulated
    fleet: Fleet
    stack: ExitStack
    commands: dict[str, tuple[str, ...]] = field(default_factory=dict)
    started_again: int = 0

    def keep_running(self) -> None:
        """Start every process of the fleet that is not at work."""
        for name, command in self.commands.items():
            process = self.fleet.processes.get(name)
            if process is None or process.poll() is not None:
                self.started_again += process is not None
                self.fleet.start(name, *command)

    def process(self, name: str) -> psutil.Process | None:
        """One of the fleet's processes, if it is at work."""
        running = self.fleet.processes.get(name)
        return psutil.Process(running.pid) if running is not None and running.poll() is None else None

    def child(self, name: str) -> psutil.Process | None:
        """The sending child of a worker unit, if it has one now."""
        try:
            parent = self.process(name)
            return (
                next((one for one in parent.children() if "workers.child" in one.cmdline()), None) if parent else None
            )
        except psutil.Error:
            return None

    def kill_redis(self) -> None:
        """Kill Valkey, with all that it held, and start an empty one."""
        self._end(embedded.status(self.home).valkey_process_id, signal.SIGKILL)

    def restart_postgres(self, number: signal.Signals) -> None:
        """Restart PostgreSQL: in order by SIGINT, or after a SIGKILL of its first process."""
        self._end(embedded.status(self.home).postgres_process_id, number)

    def _end(self, leader_id: int | None, number: signal.Signals) -> None:
        if leader_id is not None:
            leader = psutil.Process(leader_id)
            everyone = [leader, *leader.children()]
            leader.send_signal(number)
            psutil.wait_procs(everyone, timeout=60)
        self.stack.enter_context(embedded.running(self.home))

    def connect(self) -> "psycopg.Connection[Any]":
        """Connect as the platform's owner."""
        return psycopg.connect(self.fleet.database_url, autocommit=True)


@contextmanager
def stage() -> Iterator[Stage]:
    """Give a scene on which nothing of the fleet runs yet; end everything afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    folder.chmod(0o755)  # as root the servers run as another account, which must reach its data
    home = folder / "home"
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        stack.callback(embedded.erase, home)
        servers = stack.enter_context(embedded.running(home))
        runner.migrate(servers.database_url, lambda _line: None)
        vendor = stack.enter_context(module("simulator", "--port", "0", "--latency-ms", "30", "--callbacks"))
        port = _free_port()
        settings = {**SETTINGS, "FLEET_PUBLIC_URL": f"http://127.0.0.1:{port}", "PORT": str(port)}
        built = fleet(servers.database_url, servers.redis_url, vendor, settings)
        stack.callback(built.stop)
        web = ("uvicorn", "console.web:app", "--host", "127.0.0.1", "--port", str(port), "--log-level", "critical")
        yield Stage(home, Simulated(vendor), built, stack, {**COMMANDS, "web": web})


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port
