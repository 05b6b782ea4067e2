"""A vendor that does not work, or asks for peace: what its account's messages do meanwhile, against the simulator."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import psycopg
import pytest
import redis

from admission.breaker import FAILURES, Breaker
from config.channels import Channel
from outbox import batches
from providers.base import Account, Unknown
from tests.factories import attempts_of, column_of, insert, status_of, travel
from tests.integration.conftest import Open, Vendors, deliver
from workers.replay import replay_batch
from workers.runtime import Runtime

NOWHERE = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def _no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each bundle asks Redis."""
    monkeypatch.setattr("admission.breaker.CACHE_SECONDS", 0.0)


async def broken(worker: Runtime, provider: str = "twilio") -> Account:
    """Let the breaker of a provider's environment account open; return the account."""
    (account,) = (await worker.accounts.resolve(provider, {uuid4()})).values()
    assert isinstance(account, Account)
    for _ in range(FAILURES):
        worker.breaker.note(account, Unknown("timeout", "the vendor did not answer in time"))
    await worker.breaker.flush()
    return account


def half_open(redis_url: str) -> None:
    """Let the time of every open breaker be over."""
    with redis.Redis.from_url(redis_url) as client:
        for key in client.scan_iter("fleet:breaker:*"):
            client.hset(key, "until", "1.0")


async def test_an_outage_spends_one_attempt_of_ten_messages_and_no_more(
    open_worker: Open, owner: psycopg.Connection
) -> None:
    worker = await open_worker(FLEET_RETRY_BASE_SECONDS="1", TWILIO_API_URL=NOWHERE)
    first = [insert(owner, "sms") for _ in range(FAILURES)]
    await deliver(worker, Channel.SMS)
    rest = [insert(owner, "sms") for _ in range(30)]
    travel(owner, 60)
    await deliver(worker, Channel.SMS)

    assert {column_of(owner, id_, "attempts") for id_ in first} == {1}
    for id_ in rest:
        assert (status_of(owner, id_), attempts_of(owner, id_)) == ("scheduled", [])
        assert column_of(owner, id_, "error_code") == "breaker_open"
        assert "twilio has not worked for this account since" in column_of(owner, id_, "error_message")
    times = {column_of(owner, id_, "scheduled_at") for id_ in rest}
    assert len(times) == len(rest), "they do not come back at once"
    assert min(times) > datetime.now(UTC) + timedelta(seconds=60 + 3)


async def test_one_message_finds_out_and_the_others_follow(
    worker: Runtime, vendors: Vendors, owner: psycopg.Connection, redis_url: str
) -> None:
    await broken(worker)
    ids = [insert(owner, "sms") for _ in range(20)]
    half_open(redis_url)

    await deliver(worker, Channel.SMS)

    assert [status_of(owner, id_) for id_ in ids].count("sent") == 1
    assert (await vendors.stats())["twilio"]["requests"] == 1
    travel(owner, 60)
    await deliver(worker, Channel.SMS)
    assert {status_of(owner, id_) for id_ in ids} == {"sent"}


async def test_a_probe_that_fails_costs_one_attempt(
    open_worker: Open, owner: psycopg.Connection, redis_url: str
) -> None:
    worker = await open_worker(FLEET_RETRY_BASE_SECONDS="1", TWILIO_API_URL=NOWHERE)
    await broken(worker)
    ids = [insert(owner, "sms") for _ in range(20)]
    half_open(redis_url)

    await deliver(worker, Channel.SMS)
    travel(owner, 60)
    await deliver(worker, Channel.SMS)

    assert sum(column_of(owner, id_, "attempts") for id_ in ids) == 1


async def test_a_probe_refused_at_its_start_lets_another_try(
    worker: Runtime, vendors: Vendors, owner: psycopg.Connection, redis_url: str
) -> None:
    await broken(worker)
    insert(owner, "sms", expires_at=datetime.now(UTC) - timedelta(hours=1))
    half_open(redis_url)
    await deliver(worker, Channel.SMS)
    id_ = insert(owner, "sms")

    await deliver(worker, Channel.SMS)

    assert status_of(owner, id_) == "sent"


async def test_other_accounts_go_on(worker: Runtime, vendors: Vendors, owner: psycopg.Connection) -> None:
    tenant = uuid4()
    owner.execute(
        "INSERT INTO ai_settings_twilio (tenant_id, twilio_account_sid, twilio_auth_token, twilio_phone_number, "
        "is_connected) VALUES (%s, 'AC' || repeat('1', 32), 'own', '+15005550006', true)",
        (tenant,),
    )
    await broken(worker)
    own, shared = insert(owner, "sms", workspace_id=tenant), insert(owner, "sms")

    await deliver(worker, Channel.SMS)

    assert (status_of(owner, own), status_of(owner, shared)) == ("sent", "scheduled")


async def test_replays_wait_as_well_and_one_of_them_may_find_out(
    worker: Runtime, vendors: Vendors, owner: psycopg.Connection, redis_url: str
) -> None:
    ids = [insert(owner, crashes=1, recipient_email=f"delivered+{number}@resend.dev") for number in range(2)]
    await vendors.fault(vendor="resend", kind="accept_then_drop", count=2)
    await deliver(worker)
    await broken(worker, "resend")

    travel(owner, 10)
    await replay(worker)
    assert {status_of(owner, id_) for id_ in ids} == {"unknown"}
    assert (await vendors.stats())["resend"]["requests"] == 2
    half_open(redis_url)
    for passed in (30, 60):
        travel(owner, passed)
        await replay(worker)

    assert {status_of(owner, id_) for id_ in ids} == {"sent"}
    assert (await vendors.stats())["resend"]["duplicates"] == 0


async def test_after_429_the_whole_account_is_left_in_peace(
    worker: Runtime, vendors: Vendors, owner: psycopg.Connection, redis_url: str
) -> None:
    refused = insert(owner, "sms")
    await vendors.fault(vendor="twilio", kind="too_many", count=1, seconds=30)
    await deliver(worker, Channel.SMS)
    others = [insert(owner, "sms") for _ in range(20)]
    await deliver(worker, Channel.SMS)

    assert (await vendors.stats())["twilio"]["requests"] == 1
    for id_ in (refused, *others):
        assert status_of(owner, id_) == "scheduled"
        assert column_of(owner, id_, "scheduled_at") > datetime.now(UTC) + timedelta(seconds=28)
    assert {column_of(owner, id_, "error_code") for id_ in others} == {"rate_limited"}
    assert "asked this account to wait until" in column_of(owner, others[0], "error_message")
    assert {column_of(owner, id_, "attempts") for id_ in others} == {0}
    with redis.Redis.from_url(redis_url) as client:
        for key in client.scan_iter("fleet:breaker:*"):
            client.hset(key, "blocked_until", "1.0")
    travel(owner, 100)
    await deliver(worker, Channel.SMS)
    assert {status_of(owner, id_) for id_ in (refused, *others)} == {"sent"}


async def test_without_redis_everything_is_sent(
    worker: Runtime, vendors: Vendors, owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = Breaker("redis://127.0.0.1:9/0")
    monkeypatch.setattr(worker, "breaker", away)
    monkeypatch.setattr(worker.sender, "_breaker", away)
    ids = [insert(owner, "sms") for _ in range(5)]
    await vendors.fault(vendor="twilio", kind="server_error", count=1)

    await deliver(worker, Channel.SMS)
    await away.close()

    assert sorted(status_of(owner, id_) for id_ in ids) == ["sent"] * 4 + ["unknown"]


async def replay(worker: Runtime) -> None:
    """Replay what is due, as the rescuer asks for it."""
    token = uuid4()
    for key, channel in await batches.claim_replays(worker.pool, token, lease_seconds=60, limit=10):
        await replay_batch(worker, channel, token, UUID(key))
    await worker.settled()
