"""`python -m scheduler`: relays, rescuer, events and look-ups in one process.

Several may run; none is needed by another.
"""

import asyncio
import signal
import sys
from typing import Protocol

import click

from config import failpoints, log, sentry, servers
from config.broker import Broker
from config.catalog import served_channels
from config.database import AWAY, pool
from config.servers import Addresses
from config.settings import Settings, SettingsError, load
from outbox.readiness import NotReady, wait_until_ready
from scheduler.events import EventRelay
from scheduler.job_relay import JobRelay
from scheduler.lookups import LookUps
from scheduler.pace import Pace
from scheduler.relay import Relay
from scheduler.rescuer import Rescuer
from scheduler.waker import Waker

POOL_SIZE = 3

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
        EventRelay(database, broker, settings),
    )
    beside = [asyncio.create_task(waker.run()), *(asyncio.create_task(_repeat(work, ending)) for work in periodic)]
    try:
        await Pace(database, relays, waker, ending).run()
    finally:
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
        await database.close()
        broker.close()


def _end(ending: asyncio.Event, waker: Waker) -> None:
    ending.set()
    waker.wake()


async def _repeat(work: Periodic, ending: asyncio.Event) -> None:
    while not ending.is_set():
        try:
            await work.run_once()
        except AWAY as error:
            _log.warning("postponed", loop=type(work).__name__, error=type(error).__name__)
        await asyncio.sleep(work.interval_seconds)


if __name__ == "__main__":
    main(prog_name="python -m scheduler")
