"""Events on their way to a worker, and answers that come after their lease: nothing that Redis does loses one."""

from typing import Any

import psycopg
import pytest
from redis import Redis, RedisError

from config.broker import Broker
from config.channels import EVENTS_QUEUE, Channel
from config.database import Pool
from config.settings import Settings
from outbox import batches, events
from scheduler.events import WINDOW, EventRelay
from tests.factories import attempts_of, column_of, insert, status_of, travel
from tests.integration.conftest import Vendors, deliver
from tests.integration.test_events import report, tell, tried
from tests.integration.test_relay import bundles
from workers.apply_events import apply_events
from workers.runtime import Runtime
from workers.settle import Flusher


@pytest.fixture
def broker(redis_url: str) -> Any:
    opened = Broker(redis_url)
    yield opened
    opened.close()


async def test_due_events_reach_the_worker_in_bundles(
    ledger: Pool, owner: psycopg.Connection, broker: Broker, settings: Settings, worker: Runtime
) -> None:
    started = await tried(ledger, owner)
    await events.store(ledger, [report(started, event_id=str(number)) for number in range(250)])
    relay = EventRelay(ledger, broker, settings)

    assert await relay.run_once() == 250
    assert await relay.run_once() == 0, "they are claimed"

    arrived = [message["args"][0] for message in bundles(broker, EVENTS_QUEUE)]
    assert sorted(map(len, arrived)) == [50, 100, 100]
    for ids in arrived:
        await apply_events(worker, ids)
    assert status_of(owner, started.ids[0]) == "sent"
    assert owner.execute("SELECT count(*) FROM fleet.events WHERE applied_at IS NULL").fetchone() == (0,)


async def test_a_wiped_redis_loses_no_event(
    ledger: Pool, owner: psycopg.Connection, broker: Broker, settings: Settings, redis_url: str
) -> None:
    started = await tried(ledger, owner)
    await events.store(ledger, [report(started)])
    relay = EventRelay(ledger, broker, settings)
    assert await relay.run_once() == 1
    with Redis.from_url(redis_url) as client:
        client.flushall()

    assert await relay.run_once() == 0
    travel(owner, 61)
    assert await relay.run_once() == 1


async def test_a_redis_that_is_away_is_given_nothing(
    ledger: Pool, owner: psycopg.Connection, broker: Broker, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = await tried(ledger, owner)
    await events.store(ledger, [report(started)])
    relay = EventRelay(ledger, broker, settings)

    def refuse(*_: object) -> None:
        raise RedisError

    with monkeypatch.context() as away:
        away.setattr(broker, "enqueue_all", refuse)
        assert await relay.run_once() == 0
    travel(owner, 3)
    assert await relay.run_once() == 1
    with monkeypatch.context() as away:
        away.setattr(broker, "lengths", refuse)
        assert await relay.run_once() == 0


async def test_no_more_than_a_window_waits_in_redis(
    ledger: Pool, owner: psycopg.Connection, broker: Broker, settings: Settings
) -> None:
    started = await tried(ledger, owner)
    await events.store(ledger, [report(started, event_id=str(number)) for number in range(WINDOW * 100 + 1)])
    relay = EventRelay(ledger, broker, settings)
    assert await relay.run_once() == WINDOW * 100
    assert await relay.run_once() == 0
    assert broker.lengths([EVENTS_QUEUE]) == {EVENTS_QUEUE: WINDOW}


async def lose_the_lease(worker: Runtime, owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the rescuer come before the next outcome is written."""
    write = Flusher._write

    async def late(flusher: Flusher, settlements: Any, ended: Any) -> None:
        travel(owner, 130)
        await batches.expire(worker.pool, margin_seconds=2, limit=10)
        await write(flusher, settlements, ended)

    monkeypatch.setattr(Flusher, "_write", late)


async def test_an_answer_after_the_lease_is_proof(
    worker: Runtime, vendors: Vendors, owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    id_ = insert(owner, "sms")
    await lose_the_lease(worker, owner, monkeypatch)

    await deliver(worker, Channel.SMS)

    assert status_of(owner, id_) == "unknown"
    row = owner.execute(
        "SELECT event_id = 'answer:' || attempt_id, message_id, body->>'sid' FROM fleet.events"
    ).fetchone()
    (accepted,) = await vendors.accepted()
    assert row == (True, id_, accepted["id"])
    assert (await tell(worker.pool)).applied == 1
    assert (status_of(owner, id_), column_of(owner, id_, "provider_message_id")) == ("sent", accepted["id"])
    assert column_of(owner, id_, "provider_response")["sid"] == accepted["id"]
    assert owner.execute("SELECT count(*) FROM fleet.unknowns").fetchone() == (0,)


async def test_an_answer_whose_own_commit_was_not_acknowledged_changes_nothing(
    worker: Runtime, owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    id_ = insert(owner, "sms")
    write = Flusher._write

    async def twice(flusher: Flusher, settlements: Any, ended: Any) -> None:
        await write(flusher, settlements, ended)
        await write(flusher, settlements, ended)

    monkeypatch.setattr(Flusher, "_write", twice)
    await deliver(worker, Channel.SMS)
    before = owner.execute("SELECT xmin::text, status FROM channel_outbox").fetchone()

    assert (await tell(worker.pool)).applied == 1

    assert owner.execute("SELECT xmin::text, status FROM channel_outbox").fetchone() == before
    assert (status_of(owner, id_), attempts_of(owner, id_)) == ("sent", [(1, "accepted", True)])
    assert owner.execute("SELECT count(*) FROM fleet.audit_log").fetchone() == (0,)
