"""Taking the servers in use and giving them back: what every process of the fleet calls.

Every user holds the use lock shared, so that the kernel knows who is left. The last to leave ends the servers; when it
was killed instead, the keeper does. Refuses to count users in a file: a killed one would stay in it for ever.
"""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from config.embedded import elsewhere, place
from config.embedded.errors import NotRunning
from config.embedded.lifecycle import bring_down, end_removed, find_up, start
from config.embedded.locks import KEEPER_LOCK, START_LOCK, USE_LOCK, Lock, hold
from config.embedded.owned import make_home, open_file
from config.embedded.postgres import DATABASE, Postgres
from config.embedded.processes import ENVIRONMENT, detached, launch
from config.embedded.server import Server, Start
from config.embedded.valkey import Valkey

_ROOT = Path(__file__).resolve().parents[2]
"""The folder that the package `config` lies in."""


@dataclass(frozen=True, slots=True)
class Servers:
    """The running servers of one FLEET_HOME. Of a server that was not asked for, the address is where it would be."""

    database_url: str
    """For the superuser `postgres`, over a unix socket."""
    redis_url: str
    postgres_process_id: int | None
    valkey_process_id: int | None
    data_directory: Path
    socket_directory: Path


@contextmanager
def running(home: Path, *, durable: bool = True, postgres: bool = True, valkey: bool = True) -> Iterator[Servers]:
    """Use the servers of `home`, starting those that do not run; any number of processes may do so at once.

    `durable` False is for tests: a server started by this call may lose its data when the machine crashes.
    Raises EmbeddedError; what keeps a server from starting is in its message.
    """
    wanted = _wanted(postgres=postgres, valkey=valkey)
    for kind in wanted:
        kind.wheel.locate()
    home = place.resolve(home)
    make_home(home)
    use = hold(home / USE_LOCK, exclusive=False, create=True)
    try:
        with hold(home / START_LOCK, exclusive=True, create=True):
            _ensure_keeper(home)
            servers = _bring_up(home, wanted, durable=durable)
        yield servers
    finally:
        _leave(use, home)


@contextmanager
def join(home: Path, *, postgres: bool = True, valkey: bool = True) -> Iterator[Servers]:
    """Use the servers of `home` that run by now or are being started, creating nothing.

    Raises NotRunning where one of those asked for does not run.
    """
    home = place.resolve(home)
    if not all((home / name).exists() for name in (USE_LOCK, START_LOCK)):
        raise _not_running(home)
    use = hold(home / USE_LOCK, exclusive=False, create=False)
    try:
        with hold(home / START_LOCK, exclusive=True, create=False):
            servers = _find(home, _wanted(postgres=postgres, valkey=valkey))
        yield servers
    finally:
        _leave(use, home)


def stop(home: Path) -> bool:
    """End the servers of `home` now, whoever uses them. True if something was ended."""
    found = place.find(place.resolve(home))
    ended = [bring_down(kind(found)) for kind in (Valkey, Postgres)]
    return any(ended)


def stop_removed(home: Path) -> None:
    """End what a removed FLEET_HOME left running, sparing the servers of one that was made anew at its path."""
    found = place.find(place.resolve(home))
    for kind in (Valkey, Postgres):
        end_removed(kind(found))


def erase(home: Path) -> None:
    """End the servers of `home` and delete their data, wherever they lie; the lock files stay."""
    home = place.resolve(home)
    if not home.exists():
        return
    with hold(home / START_LOCK, exclusive=True, create=True):
        stop(home)
        found, noted = place.find(home), elsewhere.read(home)
        for folder in (found.postgres, found.valkey, found.sockets, *([noted.folder] if noted else [])):
            shutil.rmtree(folder, ignore_errors=True)
        elsewhere.forget(home)


def _wanted(*, postgres: bool, valkey: bool) -> list[type[Server]]:
    return [kind for kind, asked in ((Valkey, valkey), (Postgres, postgres)) if asked]


def _bring_up(home: Path, wanted: list[type[Server]], *, durable: bool) -> Servers:
    where, account = place.prepare(home)
    up: dict[type[Server], int] = {}
    for kind in wanted:
        server = kind(where)
        process = find_up(server)
        if process is None:
            process = start(server, Start(kind.wheel.locate_for(account, home), account, durable))
        up[kind] = process.pid
    return _describe(where, up)


def _find(home: Path, wanted: list[type[Server]]) -> Servers:
    where = place.find(home)
    up: dict[type[Server], int] = {}
    for kind in wanted:
        process = find_up(kind(where))
        if process is None:
            raise _not_running(home, kind.name)
        up[kind] = process.pid
    return _describe(where, up)


def _describe(where: place.Place, up: dict[type[Server], int]) -> Servers:
    return Servers(
        database_url=where.database_url(DATABASE),
        redis_url=where.redis_url,
        postgres_process_id=up.get(Postgres),
        valkey_process_id=up.get(Valkey),
        data_directory=where.postgres,
        socket_directory=where.sockets,
    )


def _not_running(home: Path, name: str = "server") -> NotRunning:
    return NotRunning(
        f"no {name} runs under FLEET_HOME ({home}): "
        "set DATABASE_URL and REDIS_URL, or start the embedded servers with `fleet up`"
    )


def _leave(use: Lock, home: Path) -> None:
    """Give the servers back; whoever sees the last user leave also sees the servers ended."""
    with use:
        if use.try_seize():
            stop(home)
        else:
            # Others use them: granted at once. Or the keeper was quicker: granted when it has ended them.
            use.share()


def _ensure_keeper(home: Path) -> None:
    """Start the keeper if none lives. It inherits the keeper lock as its standard input, and holds it until it dies."""
    with Lock(home / KEEPER_LOCK, create=True) as lock:
        if not lock.try_seize():
            return
        output = open_file(home / "keeper.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        try:
            options = detached(Path("/"), output) | {"stdin": lock.fileno()}
            imports = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
            options["env"] = ENVIRONMENT | {"PYTHONPATH": os.pathsep.join(imports)}
            # -P: what lies in the working directory is not to be imported.
            launch([sys.executable, "-P", "-m", "config.embedded.keeper", str(home)], **options)
        finally:
            os.close(output)
