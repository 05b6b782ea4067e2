"""When relays look: at once while there is work, asleep otherwise, and awake again by an insert."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import psycopg

from config.database import Pool
from config.settings import Settings, load
from outbox import presence
from scheduler.pace import Pace
from scheduler.relay import Pass
from scheduler.waker import Waker
from tests.factories import insert

PATIENCE_SECONDS = 20.0


class Counting:
    """A source that says how often it was asked, and moves what it was told to."""

    def __init__(self, moved: int = 0) -> None:
        self.asked = 0
        self.left = moved
        self.looked = asyncio.Event()

    async def run_once(self) -> Pass:
        self.asked += 1
        self.looked.set()
        moved, self.left = min(self.left, 1), max(0, self.left - 1)
        return Pass(moved, full=False)


@asynccontextmanager
async def paced(ledger: Pool, settings: Settings, url: str, source: Counting) -> AsyncIterator[Waker]:
    waker, ending = Waker(settings, url, ledger), asyncio.Event()
    tasks = [asyncio.create_task(waker.run()), asyncio.create_task(Pace(ledger, [source], waker, ending).run())]
    try:
        yield waker
    finally:
        ending.set()
        waker.wake()
        await tasks[1]
        tasks[0].cancel()
        with suppress(asyncio.CancelledError):
            await tasks[0]


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():
            await asyncio.sleep(0.01)


async def test_an_insert_wakes_a_sleeping_relay(
    ledger: Pool, owner: psycopg.Connection, database_url: str, settings: Settings
) -> None:
    source = Counting()
    async with paced(ledger, settings, database_url, source) as waker:
        await eventually(lambda: waker.proved)
        before = source.asked
        insert(owner)
        await eventually(lambda: source.asked > before)


async def test_a_relay_at_work_says_that_it_needs_no_waking(
    ledger: Pool, owner: psycopg.Connection, database_url: str, settings: Settings
) -> None:
    def awake() -> bool:
        return owner.execute("SELECT count(*) FROM fleet.relays").fetchone() == (1,)

    source = Counting(moved=1_000_000)
    async with paced(ledger, settings, database_url, source):
        await eventually(awake)
        source.left = 0
        await eventually(lambda: not awake())


async def test_inserts_notify_only_while_every_relay_sleeps(ledger: Pool, owner: psycopg.Connection) -> None:
    owner.execute("LISTEN fleet_due")
    relay = uuid4()

    await presence.relay_awake(ledger, relay, 60)
    insert(owner)
    assert list(owner.notifies(timeout=0.2)) == []
    await presence.relay_asleep(ledger, relay)
    insert(owner)
    assert [notification.payload for notification in owner.notifies(timeout=5, stop_after=1)] == ["channel_outbox"]


async def test_a_relay_looks_again_when_the_next_message_is_due(
    ledger: Pool, owner: psycopg.Connection, database_url: str, settings: Settings
) -> None:
    due = datetime.now(UTC) + timedelta(seconds=1.2)
    insert(owner, scheduled_at=due)
    source = Counting()
    async with paced(ledger, settings, database_url, source) as waker:
        await eventually(lambda: waker.proved)
        before = source.asked
        await eventually(lambda: datetime.now(UTC) >= due)
        await eventually(lambda: source.asked > before)


async def test_behind_a_pooler_without_an_address_to_listen_at_it_polls(
    ledger: Pool, owner: psycopg.Connection, database_url: str
) -> None:
    source = Counting()
    settings = load({"DATABASE_POOLER": "transaction"})
    async with paced(ledger, settings, database_url, source) as waker:
        await eventually(lambda: source.asked > 0)
        before = source.asked
        insert(owner)
        await eventually(lambda: source.asked > before)
        assert not waker.proved


async def test_it_outlives_a_database_that_goes_away(
    ledger: Pool, owner: psycopg.Connection, database_url: str, settings: Settings
) -> None:
    source = Counting()
    async with paced(ledger, settings, database_url, source) as waker:
        await eventually(lambda: waker.proved)
        owner.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        before = source.asked
        insert(owner)
        await eventually(lambda: source.asked > before)
