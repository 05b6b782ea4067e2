"""From the ledger to Redis: the relays, their window, and what becomes of a claim that Redis does not take."""

import json
from typing import Any
from uuid import UUID

import psycopg
import pytest
import redis

from config.broker import Broker
from config.channels import Channel
from config.database import Pool
from config.settings import Settings, load
from outbox import claims
from scheduler import restraint, window
from scheduler.job_relay import JobRelay
from scheduler.relay import Pass, Relay
from scheduler.rescuer import Rescuer
from scheduler.window import SMALLEST
from tests.factories import insert, status_of, travel
from tests.started import claimed, start


@pytest.fixture
def broker(redis_url: str) -> Any:
    opened = Broker(redis_url)
    yield opened
    opened.close()


def bundles(broker: Broker, queue: str) -> list[dict[str, Any]]:
    ids = broker.client.lrange(f"dramatiq:{queue}", 0, -1)
    return [json.loads(broker.client.hget(f"dramatiq:{queue}.msgs", id_)) for id_ in ids]  # type: ignore[arg-type]


async def test_bundles_carry_ids_and_a_token_and_nothing_else(
    ledger: Pool, owner: psycopg.Connection, broker: Broker, settings: Settings
) -> None:
    email, sms = insert(owner), insert(owner, "sms")
    insert(owner, "linkedin")
    relay = Relay(ledger, broker, settings, [Channel.EMAIL, Channel.SMS])

    assert await relay.run_once() == Pass(2, full=False)

    (bundle,) = bundles(broker, "email")
    assert bundle["actor_name"] == "send_email"
    token, ids = bundle["args"]
    assert (UUID(token).version, ids, bundle["kwargs"]) == (4, [str(email)], {})
    assert [one["args"][1] for one in bundles(broker, "sms")] == [[str(sms)]]
    assert broker.client.llen("fleet:wake:email") == 1
    assert status_of(owner, email) == "queued"
    assert await relay.run_once() == Pass(0, full=False)


async def test_a_window_bounds_what_waits_in_redis(
    ledger: Pool, owner: psycopg.Connection, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(window, "LARGEST", SMALLEST)
    settings = load({"FLEET_BATCH_SIZE": "2"})
    for _ in range(SMALLEST * 2 + 5):  # the last of them leave room for one bundle
        insert(owner)
    relay = Relay(ledger, broker, settings, [Channel.EMAIL])

    assert await relay.run_once() == Pass(SMALLEST * 2, full=True)
    assert not (await relay.run_once()).full  # no worker takes from it
    assert len(bundles(broker, "email")) == SMALLEST
    assert broker.client.llen("fleet:wake:email") <= 32

    broker.client.lpop("dramatiq:email", SMALLEST // 2)
    assert await relay.run_once() == Pass(5, full=False)
    insert(owner)
    await relay.run_once()
    assert await relay.run_once() == Pass(0, full=True)  # a worker was seen taking


async def test_what_redis_does_not_take_goes_back(
    ledger: Pool, owner: psycopg.Connection, broker: Broker, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    id_ = insert(owner)
    relay = Relay(ledger, broker, settings, [Channel.EMAIL])

    def refuse(_messages: object) -> None:
        raise redis.ConnectionError("gone")

    owner.execute("INSERT INTO job_queue (job_type) VALUES ('cancel_messages')")
    monkeypatch.setattr(broker, "enqueue_all", refuse)
    for source in (relay, JobRelay(ledger, broker, settings)):
        with pytest.raises(redis.ConnectionError):
            await source.run_once()
    assert status_of(owner, id_) == "scheduled"
    assert owner.execute("SELECT status, lease_token FROM job_queue").fetchone() == ("pending", None)


async def test_without_redis_nothing_is_claimed(ledger: Pool, owner: psycopg.Connection, settings: Settings) -> None:
    id_ = insert(owner)
    away = Broker("redis://127.0.0.1:9/0")

    for source in (Relay(ledger, away, settings, [Channel.EMAIL]), JobRelay(ledger, away, settings)):
        with pytest.raises(redis.ConnectionError):
            await source.run_once()
    assert status_of(owner, id_) == "scheduled"


async def test_a_dear_claim_is_followed_by_a_rest(
    ledger: Pool, owner: psycopg.Connection, broker: Broker, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restraint, "SLOW_SECONDS", 0.0)
    monkeypatch.setattr(restraint, "REST_PER_SECOND", 1e9)
    monkeypatch.setattr(restraint, "LONGEST_REST_SECONDS", 3600.0)
    relay = Relay(ledger, broker, settings, [Channel.EMAIL])

    insert(owner)
    assert await relay.run_once() == Pass(1, full=False)
    insert(owner)
    assert await relay.run_once() == Pass(0, full=False)


async def test_jobs_of_other_runners_are_left_to_them(
    ledger: Pool, owner: psycopg.Connection, broker: Broker, settings: Settings
) -> None:
    owner.execute("INSERT INTO job_queue (job_type, priority) VALUES ('cancel_messages', 1), ('somebody_elses', 9)")

    assert (await JobRelay(ledger, broker, settings).run_once()).moved == 1

    (message,) = bundles(broker, "jobs")
    assert message["actor_name"] == "run_job"
    rows = owner.execute("SELECT job_type, status FROM job_queue ORDER BY 1").fetchall()
    assert rows == [("cancel_messages", "running"), ("somebody_elses", "pending")]


async def test_the_rescuer_takes_from_the_dead(
    ledger: Pool, owner: psycopg.Connection, broker: Broker, settings: Settings
) -> None:
    replayed = insert(owner)
    started = await start(ledger)
    queued = insert(owner)
    await claimed(ledger)
    misspelt, orphan = insert(owner, "emial"), insert(owner, "sms", status="sending")
    travel(owner, 70)

    await Rescuer(ledger, broker, settings).run_once()

    assert [status_of(owner, id_) for id_ in (replayed, queued, misspelt, orphan)] == [
        "unknown",
        "scheduled",
        "failed",
        "unknown",
    ]
    (message,) = bundles(broker, "email")
    assert message["actor_name"] == "replay_email"
    assert UUID(message["args"][1]) == started.send_key
    assert await Rescuer(ledger, broker, settings).run_once() == 0


async def test_replays_that_redis_does_not_take_are_asked_for_again(
    ledger: Pool, owner: psycopg.Connection, broker: Broker, settings: Settings
) -> None:
    insert(owner)
    await start(ledger)
    travel(owner, 70)
    rescuer = Rescuer(ledger, Broker("redis://127.0.0.1:9/0"), settings)
    await rescuer.run_once()

    travel(owner, 80)
    await Rescuer(ledger, broker, settings).run_once()
    assert len(bundles(broker, "email")) == 1


async def test_a_wiped_redis_costs_a_lease_and_no_message(
    ledger: Pool, owner: psycopg.Connection, broker: Broker, settings: Settings
) -> None:
    id_ = insert(owner)
    relay = Relay(ledger, broker, settings, [Channel.EMAIL])
    await relay.run_once()
    broker.client.flushall()

    assert await relay.run_once() == Pass(0, full=False)
    travel(owner, 70)
    assert await claims.rescue(ledger, limit=10) == 1
    assert (await relay.run_once()).moved == 1
    assert status_of(owner, id_) == "queued"
