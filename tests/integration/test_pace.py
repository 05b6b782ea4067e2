"""When relays look: at once while there is work, asleep otherwise, and awake again by an insert."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import cast
from uuid import uuid4

import psycopg
import pytest
import redis
from structlog.testing import capture_logs

from config import tasks
from config.database import Pool, pool
from config.settings import Settings, load
from outbox import presence
from scheduler import pace
from scheduler.pace import DEEP_SLEEP_SECONDS, LIGHT_SLEEP_SECONDS, Pace
from scheduler.relay import Pass
from scheduler.waker import Waker
from tests.conftest import Servers
from tests.factories import insert, pause

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


class Late(Counting):
    """Moves something in one pass only."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self._at = at

    async def run_once(self) -> Pass:
        self.left = 1 if self.asked + 1 == self._at else 0
        return await super().run_once()


class Refusing(Counting):
    """Redis is away for the first passes."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.left = times

    async def run_once(self) -> Pass:
        if self.left:
            self.left -= 1
            raise redis.ConnectionError("gone")
        return Pass(0, full=False)


class Napping(Waker):
    """Never woken, and takes no time to nap: notes how long each nap would have been, and ends after `naps`."""

    def __init__(self, ending: asyncio.Event, naps: int) -> None:
        self.proved = True
        self.naps: list[float] = []
        self._left = naps
        self._over = ending

    async def wait(self, seconds: float) -> bool:
        self.naps.append(seconds)
        if len(self.naps) == self._left:
            self._over.set()
        return False


@asynccontextmanager
async def paced(ledger: Pool, settings: Settings, url: str, source: Counting) -> AsyncIterator[Waker]:
    """A pace whose waker hears by the time it begins, where it ever will."""
    waker, ending = Waker(settings, url, ledger), asyncio.Event()
    listening = asyncio.create_task(waker.run())
    if settings.database_pooler == "none":
        await eventually(lambda: waker.proved)
    running = asyncio.create_task(Pace(ledger, [source], waker, ending).run())
    try:
        yield waker
    finally:
        ending.set()
        waker.wake()
        await running
        await tasks.end([listening])


@pytest.fixture
def only_deep_sleep(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that what wakes a relay within the patience of a test is not the end of a nap."""
    monkeypatch.setattr(pace, "LIGHT_SLEEP_SECONDS", ())
    monkeypatch.setattr(pace, "DEEP_SLEEP_SECONDS", 10 * PATIENCE_SECONDS)


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.mark.usefixtures("only_deep_sleep")
async def test_an_insert_wakes_a_sleeping_relay(
    ledger: Pool, owner: psycopg.Connection, database_url: str, settings: Settings
) -> None:
    source = Counting()
    async with paced(ledger, settings, database_url, source):
        await eventually(lambda: source.asked > 0)
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


@pytest.mark.usefixtures("only_deep_sleep")
async def test_a_relay_looks_again_when_the_next_message_is_due(
    ledger: Pool, owner: psycopg.Connection, database_url: str, settings: Settings
) -> None:
    due = datetime.now(UTC) + timedelta(seconds=1.2)
    insert(owner, scheduled_at=due)
    source = Counting()
    async with paced(ledger, settings, database_url, source):
        await eventually(lambda: source.asked > 0)
        before = source.asked
        await eventually(lambda: datetime.now(UTC) >= due)
        await eventually(lambda: source.asked > before)


@pytest.mark.parametrize("row", [{"channel": "linkedin"}, {"scheduled_at": "infinity"}, {}, None])
async def test_what_is_held_or_never_due_keeps_no_relay_awake(
    ledger: Pool, owner: psycopg.Connection, row: dict[str, str] | None
) -> None:
    pause(owner, "channel:email")
    if row is not None:
        insert(owner, **row)
    source, ending = Counting(), asyncio.Event()
    waker = Napping(ending, naps=12)

    await Pace(ledger, [source], waker, ending).run()

    assert waker.naps == [*LIGHT_SLEEP_SECONDS, *[DEEP_SLEEP_SECONDS] * 8]
    assert source.asked == 12


async def test_a_relay_that_moved_something_looks_again_soon(ledger: Pool) -> None:
    source, ending = Counting(), asyncio.Event()
    waker = Napping(ending, naps=10)
    running = Pace(ledger, [source, Late(at=6)], waker, ending)

    await running.run()

    assert waker.naps == [*LIGHT_SLEEP_SECONDS, DEEP_SLEEP_SECONDS, *LIGHT_SLEEP_SECONDS, DEEP_SLEEP_SECONDS]


async def test_a_redis_that_is_away_is_asked_now_and_then(ledger: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "AWAY_SECONDS", 0.001)
    source, ending = Refusing(times=20), asyncio.Event()
    waker = Napping(ending, naps=1)

    with capture_logs() as lines:
        await Pace(ledger, [source], waker, ending).run()

    assert [line["event"] for line in lines] == ["redis_away", "redis_back"]
    assert source.left == 0


async def test_it_ends_in_seconds_while_the_database_is_away(
    settings: Settings, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "LAST_WORD_SECONDS", 0.1)
    away = pool(settings, servers.named("no_such_database"), size=1, process="test")
    ending = asyncio.Event()
    ending.set()
    await away.open(wait=False)
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await Pace(away, [Counting()], Napping(ending, naps=1), ending).run()
    finally:
        await away.close()


async def test_a_waker_whose_proof_dies_ends_and_no_longer_claims_to_hear(
    settings: Settings, database_url: str
) -> None:
    class Broken:
        def connection(self) -> None:
            raise RuntimeError("a mistake")

    waker = Waker(settings, database_url, cast("Pool", Broken()))
    waker.proved = True
    async with asyncio.timeout(PATIENCE_SECONDS):
        with pytest.raises(RuntimeError):
            await waker.run()
    assert not waker.proved


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
    async with paced(ledger, settings, database_url, source):
        owner.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        before = source.asked
        insert(owner)
        await eventually(lambda: source.asked > before)
