"""What runs under a FLEET_HOME, for people. Looks only: starts, ends, locks and creates nothing."""

from dataclasses import dataclass
from pathlib import Path

import psutil

from config.embedded import place
from config.embedded.postgres import Postgres
from config.embedded.server import Server
from config.embedded.valkey import Valkey


@dataclass(frozen=True, slots=True)
class Status:
    """The processes of one FLEET_HOME at one moment, None where there is none; `str()` is for the terminal."""

    home: Path
    postgres_process_id: int | None
    valkey_process_id: int | None
    keeper_process_id: int | None
    data_directory: Path
    socket_directory: Path

    @property
    def is_running(self) -> bool:
        """Does any server run?"""
        return self.postgres_process_id is not None or self.valkey_process_id is not None

    def __str__(self) -> str:
        def line(name: str, process_id: int | None) -> str:
            return f"{name}: " + ("not running" if process_id is None else f"runs as process {process_id}")

        return "\n".join(
            (
                line("PostgreSQL", self.postgres_process_id),
                line("Valkey", self.valkey_process_id),
                line("keeper", self.keeper_process_id),
                f"data: {self.data_directory}",
                f"sockets: {self.socket_directory}",
            )
        )


def status(home: Path) -> Status:
    """Return what runs under `home`; a home that does not exist runs nothing."""
    found = place.find(place.resolve(home))
    return Status(
        home=found.home,
        postgres_process_id=_leader(Postgres(found)),
        valkey_process_id=_leader(Valkey(found)),
        keeper_process_id=_keeper(found.home),
        data_directory=found.postgres,
        socket_directory=found.sockets,
    )


def _leader(server: Server) -> int | None:
    leader = server.leader(server.processes())
    return leader.pid if leader else None


def _keeper(home: Path) -> int | None:
    for process in psutil.process_iter():
        try:
            if process.cmdline()[-2:] == ["config.embedded.keeper", str(home)]:
                return process.pid
        except psutil.Error:
            continue
    return None
