"""The scheduler hands unknown attempts to the workers when a look is due, and loses none where Redis is away."""

import psycopg

from config.broker import Broker
from config.channels import Channel
from config.database import Pool
from config.settings import Settings
from outbox.settlements import Ended, settle
from outbox.states import Status
from scheduler.lookups import BUNDLE_SIZE, LookUps
from tests.factories import insert, travel
from tests.started import start

MESSAGES = BUNDLE_SIZE + 1


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

    assert await lookups.run_once() == 0
    travel(owner, settings.reconcile_grace_seconds + 1)
    assert await lookups.run_once() == MESSAGES
    assert broker.lengths(["sms", "email"]) == {"sms": 2, "email": 0}
    assert await lookups.run_once() == 0  # they are claimed
    assert lookups.interval_seconds == 1.0
    broker.close()


async def test_what_redis_does_not_take_is_due_again(
    ledger: Pool, owner: psycopg.Connection, settings: Settings
) -> None:
    await unknown(ledger, owner)
    lookups = LookUps(ledger, Broker("redis://127.0.0.1:9/0"), settings)
    travel(owner, settings.reconcile_grace_seconds + 1)
    assert await lookups.run_once() == MESSAGES
    assert await lookups.run_once() == 0
    travel(owner, settings.reconcile_grace_seconds + 10)
    assert await lookups.run_once() == MESSAGES
