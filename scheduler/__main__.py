"""`python -m scheduler`: relays, rescuer, events, look-ups, polls, halts and campaign figures in one process.

Several may run; none is needed by another. The loops live and die together: what one of them did not expect ends the
process with exit code 1, so that it is started again whole and never relays on while nobody rescues.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Coroutine, Sequence
from typing import Any, Protocol

import click

from config import failpoints, log, sentry, servers, tasks
from config.broker import Broker
from config.catalog import served_channels
from config.database import AWAY, pool
from config.servers import Addresses
from config.settings import Settings, SettingsError, load
from outbox.readiness import NotReady, wait_until_ready
from scheduler.absence import Absence
from scheduler.events import EventRelay
from scheduler.halts import Halts
from scheduler.job_relay import JobRelay
from scheduler.lookups import LookUps
from scheduler.metrics import CampaignMetrics
from scheduler.pace import Pace
from scheduler.poller import Poller
from scheduler.relay import Relay
from scheduler.rescuer import Rescuer
from scheduler.waker import Waker

POOL_SIZE = 4
LAST_PASS_SECONDS = 2.0
"""How long the pass under way may go on after SIGTERM; what it had claimed is rescued otherwise."""

Loop = Coroutine[Any, Any, None]

_log = log.get(__name__)


class Periodic(Protocol):
    """A loop that looks at the clock by itself, beside the relays of the queues."""

    @property
    def interval_seconds(self) -> float:
        """How long it rests between two passes."""
        ...

    async def run_once(self) -> int:
        """Do what is due; return how much that was."""
        ...


@click.command()
def main() -> None:
    """Move what is due to the workers' queues, and rescue what the dead held."""
    from config.embedded.errors import EmbeddedError

    try:
        settings = load()
        log.configure(settings.log_level, settings.log_format, process="scheduler")
        sentry.configure(settings, "scheduler")
        failpoints.arm(settings.failpoint)
        with servers.resolve(settings, start=False) as addresses:
            asyncio.run(_run(settings, addresses))
    except (SettingsError, EmbeddedError) as error:
        click.echo(str(error), err=True)
        sys.exit(2)
    except NotReady as error:
        click.echo(str(error), err=True)
        sys.exit(1)
    except ExceptionGroup:
        _log.exception("loop_died")
        sys.exit(1)


async def _run(settings: Settings, addresses: Addresses) -> None:
    ending = asyncio.Event()
    database = pool(settings, addresses.database_url, size=POOL_SIZE, process="scheduler")
    broker = Broker(addresses.redis_url)
    waker = Waker(settings, addresses.database_url, database)
    await wait_until_ready(settings, addresses.database_url)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _end, ending, waker)
    await database.open()
    relays = (Relay(database, broker, settings, served_channels()), JobRelay(database, broker, settings))
    periodic: tuple[Periodic, ...] = (
        Rescuer(database, broker, settings),
        LookUps(database, broker, settings),
        Poller(database, broker, settings),
        EventRelay(database, broker, settings),
        Halts(database, settings),
        CampaignMetrics(database),
    )
    try:
        await _together(Pace(database, relays, waker, ending).run(), [waker.run(), *map(_again, periodic)], ending)
    finally:
        await database.close()
        broker.close()


def _end(ending: asyncio.Event, waker: Waker) -> None:
    """End after the pass under way; told twice, end where it stands, which is safe at any instruction."""
    if ending.is_set():
        os._exit(1)
    ending.set()
    waker.wake()


async def _together(relaying: Loop, beside: Sequence[Loop], ending: asyncio.Event) -> None:
    """Run all loops until told to end, or until one dies. Raises ExceptionGroup: what they died of."""
    loops = [asyncio.create_task(loop) for loop in (relaying, *beside)]
    for one in loops:
        one.add_done_callback(lambda ended: ending.set() if _error(ended) else None)
    await ending.wait()
    await asyncio.wait(loops[:1], timeout=LAST_PASS_SECONDS)
    await tasks.end(loops)
    if errors := [error for one in loops if (error := _error(one))]:
        raise ExceptionGroup("loops died", errors)


def _error(loop: "asyncio.Task[None]") -> Exception | None:
    """Return what a task that is done died of, if it did."""
    error = None if loop.cancelled() else loop.exception()
    return error if isinstance(error, Exception) else None


async def _again(loop: Periodic) -> None:
    absence = Absence("database", loop=type(loop).__name__)
    while True:
        try:
            await loop.run_once()
            absence.over()
        except AWAY as error:
            absence.noticed(error)
        await asyncio.sleep(loop.interval_seconds)


if __name__ == "__main__":
    main(prog_name="python -m scheduler")
