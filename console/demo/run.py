"""One run of the demo, from empty servers to the account."""

import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psycopg
from rich.console import Console

from config import embedded
from config.catalog import CATALOG
from config.embedded import Servers
from config.settings import load
from console import simulated
from console.cli.speech import say
from console.cli.up import members
from console.crew import Crew
from console.demo import faults
from console.demo.figures import Figures, accepted_by, account
from console.demo.load import Load, insert
from console.demo.watch import until_done
from outbox.migrate import runner
from providers.urls import is_loopback

PATIENCE_SECONDS = 15.0
Report = Callable[[dict[str, Figures]], None]
"""Takes the figures by channel."""

_OURS = ("FLEET_", "DATABASE_", "REDIS_", "SENTRY_", *(f"{name.upper()}_" for name in CATALOG))


def run(home: Path, load_: Load, *, keep: bool, console: Console, report: Report) -> None:
    """Start everything afresh under `home`, send the load, and report the figures; with `keep`, stay up after that."""
    embedded.erase(home)
    with embedded.running(home) as servers, simulated.running("--seed", "1", "--latency-ms", "5") as url:
        if not is_loopback(url):
            raise RuntimeError("the demo sends to simulated vendors only")
        runner.migrate(servers.database_url, lambda _line: None)
        faults.order(url)
        say(f"database:  psql '{servers.database_url}'\nsimulator: {url}/stats")
        asyncio.run(_run(servers, url, load_, keep=keep, console=console, report=report))


async def _run(servers: Servers, url: str, load_: Load, *, keep: bool, console: Console, report: Report) -> None:
    environment = _environment(servers, url)
    crew = Crew(members(load(environment), web=False), environment, PATIENCE_SECONDS, say)
    working = asyncio.create_task(crew.run())
    async with await psycopg.AsyncConnection.connect(servers.database_url, autocommit=True) as database:
        await asyncio.to_thread(_insert, servers.database_url, load_)
        say(f"{load_.messages} messages scheduled in three workspaces; limits are off")
        await until_done(database, console)
    report(await asyncio.to_thread(_account, servers.database_url, url))
    if keep:
        await _wait_for_the_end()
    crew.end()
    await working


def _insert(database_url: str, load_: Load) -> None:
    with psycopg.connect(database_url) as database:
        insert(database, load_)


def _account(database_url: str, url: str) -> dict[str, Figures]:
    accepted = accepted_by(url)
    with psycopg.connect(database_url) as database:
        return account(database, accepted)


def _environment(servers: Servers, url: str) -> dict[str, str]:
    """Nothing of the caller's configuration: a key in it must not meet a demo's messages."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    return {
        **kept,
        **simulated.addresses(list(CATALOG), url),
        "DATABASE_URL": servers.database_url,
        "REDIS_URL": servers.redis_url,
        "FLEET_DEFAULT_LIMITS": "off",
        "FLEET_RETRY_BASE_SECONDS": "1",
        "FLEET_LOG_LEVEL": "error",
        "FLEET_DRAIN_SECONDS": "5",
    }


async def _wait_for_the_end() -> None:
    say("everything stays up; Ctrl-C ends it")
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    with suppress(asyncio.CancelledError):
        await told.wait()
