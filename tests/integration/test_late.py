"""Messages that are too late: their end is fixed at the first claim, and they do not wait beyond it."""

from datetime import UTC, datetime, timedelta

import psycopg

from config.broker import Broker
from config.channels import Channel
from config.database import Pool
from config.settings import load
from outbox import search, starts
from scheduler.relay import Relay
from tests.factories import column_of, insert, status_of, travel
from tests.integration.conftest import Vendors
from tests.started import claimed
from workers.runtime import Runtime
from workers.send import send_bundle

DAY = {"FLEET_LATE_AFTER_SECONDS": "email=86400"}
YESTERDAY = datetime.now(UTC) - timedelta(days=1, hours=2)


async def relayed(ledger: Pool, redis_url: str, environment: dict[str, str], channel: Channel = Channel.EMAIL) -> None:
    broker = Broker(redis_url)
    await Relay(ledger, broker, load(environment), [channel]).run_once()
    broker.close()


async def test_the_first_claim_fixes_the_end_from_the_time_it_was_due(
    ledger: Pool, owner: psycopg.Connection, redis_url: str
) -> None:
    due = datetime(2026, 3, 1, 9, tzinfo=UTC)
    own_end = datetime(2099, 1, 1, tzinfo=UTC)
    dated, undated = insert(owner, scheduled_at=due), insert(owner)
    ending, sms = insert(owner, scheduled_at=due, expires_at=own_end), insert(owner, "sms")

    await relayed(ledger, redis_url, DAY)
    await relayed(ledger, redis_url, DAY, Channel.SMS)

    assert column_of(owner, dated, "expires_at") == due + timedelta(days=1)
    assert column_of(owner, undated, "expires_at") == column_of(owner, undated, "created_at") + timedelta(days=1)
    assert column_of(owner, ending, "expires_at") == own_end
    assert column_of(owner, sms, "expires_at") is None


async def test_without_a_policy_nothing_expires(ledger: Pool, owner: psycopg.Connection, redis_url: str) -> None:
    id_ = insert(owner, scheduled_at=datetime(2020, 1, 1, tzinfo=UTC))

    await relayed(ledger, redis_url, {})

    assert (status_of(owner, id_), column_of(owner, id_, "expires_at")) == ("queued", None)


async def test_a_retry_does_not_move_the_end(ledger: Pool, owner: psycopg.Connection, redis_url: str) -> None:
    id_ = insert(owner)
    await relayed(ledger, redis_url, DAY)
    end = column_of(owner, id_, "expires_at")
    token = column_of(owner, id_, "lease_token")
    await starts.defer(ledger, token, [waits(id_, 3600)])
    travel(owner, 7200)

    await relayed(ledger, redis_url, DAY)

    assert status_of(owner, id_) == "queued"
    assert column_of(owner, id_, "expires_at") == end


async def test_what_is_a_day_late_is_not_sent(
    worker: Runtime, vendors: Vendors, owner: psycopg.Connection, redis_url: str
) -> None:
    late, fresh = insert(owner, scheduled_at=YESTERDAY), insert(owner)
    await relayed(worker.pool, redis_url, DAY)
    token = column_of(owner, late, "lease_token")

    await send_bundle(worker, Channel.EMAIL, token, [str(late), str(fresh)])
    await worker.settled()

    assert (status_of(owner, late), column_of(owner, late, "error_class")) == ("failed", "expired")
    assert status_of(owner, fresh) == "sent"
    assert len(await vendors.accepted()) == 1


async def test_what_would_be_put_off_beyond_its_end_fails_at_once(ledger: Pool, owner: psycopg.Connection) -> None:
    soon = datetime.now(UTC) + timedelta(minutes=10)
    ending, lasting = insert(owner, expires_at=soon), insert(owner)
    token, _ = await claimed(ledger)

    await starts.defer(ledger, token, [waits(ending, 700), waits(lasting, 700)])

    assert (status_of(owner, ending), column_of(owner, ending, "error_class")) == ("failed", "expired")
    assert column_of(owner, ending, "error_code") == "expired"
    assert "the vendor is away" in column_of(owner, ending, "error_message")
    assert column_of(owner, ending, "finalized_at") is not None
    assert column_of(owner, ending, "lease_token") is None
    assert (status_of(owner, lasting), column_of(owner, lasting, "error_class")) == ("scheduled", None)
    assert column_of(owner, lasting, "error_code") == "breaker_open"


async def test_a_person_who_tries_it_again_gives_it_a_new_end(
    ledger: Pool, owner: psycopg.Connection, redis_url: str
) -> None:
    id_ = insert(owner, status="failed", expires_at=YESTERDAY, scheduled_at=YESTERDAY, error_class="expired")
    await search.retry(ledger, [id_], actor="test")

    await relayed(ledger, redis_url, DAY)

    assert column_of(owner, id_, "expires_at") > datetime.now(UTC) + timedelta(hours=23)


def waits(id_: object, seconds: float) -> dict[str, object]:
    """One row of a put-off."""
    return {"id": id_, "error_code": "breaker_open", "error_message": "the vendor is away", "delay_seconds": seconds}
