"""The scheduler hands unknown attempts to the workers when a look is due, and loses none where Redis is away."""

import psycopg
import pytest
from redis import RedisError

from config.broker import Broker
from config.catalog import BUNDLE_SIZE_LIMIT
from config.channels import Channel
from config.database import Pool
from config.settings import Settings
from outbox.settlements import Ended, settle
from outbox.states import Status
from scheduler.lookups import RETRY_SECONDS, LookUps
from tests.factories import insert, travel
from tests.started import serve, start

MESSAGES = BUNDLE_SIZE_LIMIT + 1


async def unknown(ledger: Pool, owner: psycopg.Connection) -> None:
    """Bring text messages to `unknown`, each to a number of its own."""
    for number in range(MESSAGES):
        insert(owner, channel="sms", recipient_phone=f"+1415555{1000 + number}")
    started = await start(ledger, Channel.SMS, provider="twilio", body=None)
    wrong = [started.settlement(id_, Status.UNKNOWN, provider="twilio", outcome="unknown") for id_ in started.ids]
    await settle(ledger, wrong, [Ended(started.send_key, started.lease)], worker="test")


async def test_what_is_due_for_a_look_goes_to_its_channels_workers(
    ledger: Pool, owner: psycopg.Connection, redis_url: str, settings: Settings
) -> None:
    await unknown(ledger, owner)
    broker = Broker(redis_url)
    lookups = LookUps(ledger, broker, settings)

    await serve(ledger, "sms", "email")
    assert await lookups.run_once() == 0
    travel(owner, settings.reconcile_grace_seconds + 1)
    await serve(ledger, "email")
    assert await lookups.run_once() == 0, "nobody could take it"
    await serve(ledger, "sms", "email")
    assert await lookups.run_once() == BUNDLE_SIZE_LIMIT, "one bundle a process"
    assert await lookups.run_once() == 1, "the others are claimed"
    assert broker.lengths(["sms", "email"]) == {"sms": 2, "email": 0}
    assert await lookups.run_once() == 0
    assert lookups.interval_seconds == 1.0
    broker.close()


async def test_while_redis_is_away_nothing_is_claimed(
    ledger: Pool, owner: psycopg.Connection, redis_url: str, settings: Settings
) -> None:
    await unknown(ledger, owner)
    travel(owner, settings.reconcile_grace_seconds + 1)
    await serve(ledger, "sms")
    away, there = Broker("redis://127.0.0.1:9/0"), Broker(redis_url)
    assert await LookUps(ledger, away, settings).run_once() == 0
    assert await LookUps(ledger, there, settings).run_once() == BUNDLE_SIZE_LIMIT
    away.close()
    there.close()


async def test_what_redis_does_not_take_is_due_again(
    ledger: Pool, owner: psycopg.Connection, redis_url: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    await unknown(ledger, owner)
    broker = Broker(redis_url)
    lookups = LookUps(ledger, broker, settings)
    travel(owner, settings.reconcile_grace_seconds + 1)
    await serve(ledger, "sms")
    await serve(ledger, "sms")
    with monkeypatch.context() as breaks:
        breaks.setattr(broker, "enqueue_all", _breaks)
        assert await lookups.run_once() == 0
    travel(owner, settings.reconcile_grace_seconds + RETRY_SECONDS + 2)
    await serve(ledger, "sms")
    assert await lookups.run_once() == MESSAGES
    broker.close()


def _breaks(_messages: object) -> None:
    raise RedisError
