"""The scheduler hands sent messages to the workers when a look is due: bounded, and losing none where Redis is away."""

import asyncio
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg import sql
from redis import RedisError

from config.broker import Broker
from config.catalog import BUNDLE_SIZE_LIMIT
from config.channels import Channel
from config.database import Pool
from config.settings import Settings, load
from console.metrics import exposition
from outbox import decisions, polls
from outbox.overview import overview
from outbox.states import Status
from scheduler import turns
from scheduler.poller import Poller
from tests.factories import column_of, insert, status_of, travel
from tests.integration.test_events import put, report, sending, settled, tell, tried
from tests.integration.test_relay import bundles
from tests.started import Started, serve

SMS = Channel.SMS


@pytest.fixture
def broker(redis_url: str) -> Any:
    opened = Broker(redis_url)
    yield opened
    opened.close()


async def sent(ledger: Pool, owner: psycopg.Connection, count: int) -> Started:
    """Text messages that Twilio took; of the first the look is due first."""
    for _ in range(count):
        insert(owner, "sms")
    started = await sending(ledger)
    await settled(ledger, started, Status.SENT, poll_after_seconds=900.0)
    put(owner, started.ids[0], poll_at=sql.SQL("poll_at - interval '1 s'"))
    return started


async def test_what_is_due_goes_to_the_workers_of_its_channel(
    ledger: Pool, owner: psycopg.Connection, broker: Broker, settings: Settings
) -> None:
    started = await sent(ledger, owner, 3)
    loop = Poller(ledger, broker, settings)
    await serve(ledger, "sms")
    assert await loop.run_once() == 0

    travel(owner, 901)
    await serve(ledger, "sms")
    assert await loop.run_once() == 3
    (bundle,) = bundles(broker, "sms")
    assert bundle["actor_name"] == "poll_sms"
    assert {UUID(id_) for id_ in bundle["args"][0]} == set(started.ids)
    assert await loop.run_once() == 0, "the claim has moved the next look ahead"


async def test_each_worker_gets_one_bundle_and_none_is_made_for_nobody(
    ledger: Pool, owner: psycopg.Connection, broker: Broker, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = await sent(ledger, owner, 2 * BUNDLE_SIZE_LIMIT + 1)
    travel(owner, 901)
    loop = Poller(ledger, broker, settings)
    await serve(ledger, "email", "voice")
    assert await loop.run_once() == 0

    await serve(ledger, "sms", "email")
    with monkeypatch.context() as full:
        full.setattr(turns, "WINDOW", 0)
        assert await loop.run_once() == 0
    assert await loop.run_once() == BUNDLE_SIZE_LIMIT
    assert str(started.ids[0]) in bundles(broker, "sms")[0]["args"][0], "the longest due goes first"
    await serve(ledger, "sms")
    await serve(ledger, "sms")
    assert await loop.run_once() == BUNDLE_SIZE_LIMIT + 1
    assert sorted(len(one["args"][0]) for one in bundles(broker, "sms")) == [1, 100, 100]


async def test_what_redis_does_not_take_is_due_again(
    ledger: Pool, owner: psycopg.Connection, broker: Broker, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    await sent(ledger, owner, 2)
    travel(owner, 901)
    await serve(ledger, "sms")
    loop = Poller(ledger, broker, settings)

    def refuse(*_: object) -> None:
        raise RedisError

    with monkeypatch.context() as away:
        away.setattr(broker, "enqueue_all", refuse)
        assert await loop.run_once() == 0
    assert await loop.run_once() == 0
    travel(owner, 904)
    with monkeypatch.context() as away:
        away.setattr(broker, "lengths", refuse)
        assert await loop.run_once() == 0
    assert await loop.run_once() == 2


async def test_schedulers_at_work_together_never_take_the_same(ledger: Pool, owner: psycopg.Connection) -> None:
    started = await sent(ledger, owner, 60)
    travel(owner, 901)
    claims = [polls.claim(ledger, SMS, patience_seconds=900, limit=20) for _ in range(5)]
    taken = [id_ for ids in await asyncio.gather(*claims) for id_ in ids]
    assert len(taken) == len(set(taken))
    rest = await polls.claim(ledger, SMS, patience_seconds=900, limit=100)
    assert {UUID(id_) for id_ in [*taken, *rest]} == set(started.ids)


async def test_a_clock_ahead_of_ours_makes_nobody_poll_at_full_speed(ledger: Pool, owner: psycopg.Connection) -> None:
    started = await sent(ledger, owner, 1)
    travel(owner, 901)
    put(owner, started.ids[0], sent_at=sql.SQL("now() + interval '1 day'"))
    assert len(await polls.claim(ledger, SMS, patience_seconds=900, limit=10)) == 1
    assert await polls.claim(ledger, SMS, patience_seconds=900, limit=10) == []


async def test_a_look_that_cannot_be_had_is_put_off_to_twice_the_horizon_at_most(
    ledger: Pool, owner: psycopg.Connection
) -> None:
    (id_,) = (await sent(ledger, owner, 1)).ids
    days = 24 * 3600
    travel(owner, 3 * days + 1)
    assert len(await polls.claim(ledger, SMS, patience_seconds=900, limit=10)) == 1
    assert column_of(owner, id_, "poll_at") is not None, "it is the last look as soon as the vendor has answered"
    await polls.postpone(ledger, SMS, {id_: 5.0})
    assert column_of(owner, id_, "poll_at") is not None
    travel(owner, 6 * days + 1)
    assert len(await polls.claim(ledger, SMS, patience_seconds=900, limit=10)) == 1
    await polls.postpone(ledger, SMS, {id_: 5.0})
    assert (column_of(owner, id_, "poll_at"), status_of(owner, id_)) == (None, "sent")


async def test_no_look_is_put_off_or_given_up_for_what_has_its_end(ledger: Pool, owner: psycopg.Connection) -> None:
    started = await sent(ledger, owner, 1)
    (id_,) = started.ids
    await tell(ledger, report(started, "delivered"))
    before = owner.execute("SELECT xmin::text FROM channel_outbox").fetchone()
    await polls.postpone(ledger, SMS, {id_: 5.0})
    await polls.release(ledger, [str(id_)], delay_seconds=5.0)
    await polls.give_up(ledger, [id_])
    assert owner.execute("SELECT xmin::text FROM channel_outbox").fetchone() == before


async def test_proof_that_makes_a_message_sent_makes_it_due_for_a_look(ledger: Pool, owner: psycopg.Connection) -> None:
    proven = (await tried(ledger, owner)).ids[0]
    started = await tried(ledger, owner)
    await tell(ledger, report(started))
    (told,) = started.ids
    await decisions.arrived(ledger, [proven], actor="a person")
    assert (status_of(owner, proven), status_of(owner, told)) == ("sent", "sent")
    assert column_of(owner, proven, "poll_at") is None, "nobody knows the vendor's id of it"
    assert await polls.claim(ledger, SMS, patience_seconds=900, limit=10) == [str(told)]


async def test_how_many_wait_for_a_look_is_shown(ledger: Pool, owner: psycopg.Connection) -> None:
    await sent(ledger, owner, 2)
    travel(owner, 899.5)
    seen = await overview(ledger)
    assert seen.polls == {"due": 1, "later": 1}
    assert b'fleet_polls_waiting{state="due"} 1.0' in exposition(seen, {}, [])


def test_it_looks_often_enough_for_the_shortest_patience(ledger: Pool, redis_url: str) -> None:
    def interval(**environment: str) -> float:
        return Poller(ledger, Broker(redis_url), load(environment)).interval_seconds

    assert interval() == 1.0
    assert interval(FLEET_POLL_AFTER_SECONDS="5") == 0.5
    assert interval(FLEET_POLL_AFTER_SECONDS="0.1") == 0.1
