"""What a row, the platform's own triggers or a broken commit may do to a worker: nothing to their neighbours."""

from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import OperationalError

from config.channels import Channel
from outbox import batches, search, starts
from outbox.search import Filter
from tests.factories import attempts_of, column_of, insert, status_of, travel
from tests.integration.conftest import Vendors, deliver
from tests.started import claimed
from workers.replay import replay_batch
from workers.runtime import Runtime
from workers.send import send_bundle

HUGE = '{"subject": "x", "html": "x", "number": 1e400}'
DEEP = '{"subject": "x", "html": "x", "deep": ' + "[" * 3000 + "]" * 3000 + "}"


@pytest.mark.parametrize("payload", [HUGE, DEEP], ids=["huge", "deep"])
async def test_a_payload_that_cannot_be_read_stops_nobody_else(
    worker: Runtime, owner: psycopg.Connection, payload: str
) -> None:
    poisoned, fine = insert(owner), insert(owner)
    owner.execute("UPDATE channel_outbox SET payload = %s::jsonb WHERE id = %s", (payload, poisoned))

    await deliver(worker)

    assert (status_of(owner, poisoned), column_of(owner, poisoned, "error_code")) == ("failed", "invalid_payload")
    assert status_of(owner, fine) == "sent"
    shown = await search.read(worker.pool, poisoned)
    assert shown is not None
    assert {one.id for one in await search.find(worker.pool, Filter(), limit=10)} == {poisoned, fine}


async def test_a_trigger_of_the_platforms_that_refuses_one_row_stops_nobody_else(
    worker: Runtime, vendors: Vendors, owner: psycopg.Connection
) -> None:
    refused, *fine = [insert(owner, recipient_email=f"delivered+{number}@resend.dev") for number in range(5)]
    owner.execute(
        f"""
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE 'not this one';
        END $$;
        CREATE TRIGGER refuse BEFORE UPDATE ON channel_outbox FOR EACH ROW
        WHEN (NEW.id = '{refused}' AND NEW.status = 'sent') EXECUTE FUNCTION refuse()
        """.encode()
    )

    await deliver(worker)

    assert {status_of(owner, id_) for id_ in fine} == {"sent"}
    assert status_of(owner, refused) == "sending"
    assert owner.execute("SELECT count(*) FROM fleet.batches").fetchone() == (0,)
    travel(owner, 120)
    assert await batches.mark_orphans(worker.pool, lease_seconds=60, limit=10) == 1
    assert status_of(owner, refused) == "unknown"
    await deliver(worker)  # and the worker goes on
    assert (await vendors.stats())["resend"]["accepted"] == 5


async def test_a_start_whose_commit_was_not_acknowledged_is_sent(
    worker: Runtime, vendors: Vendors, owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [insert(owner, "sms", recipient_phone=f"+1415555010{number}") for number in range(3)]
    honest = starts.start

    async def unacknowledged(*arguments: Any, **named: Any) -> Any:
        await honest(*arguments, **named)
        raise OperationalError("the connection broke")

    monkeypatch.setattr(starts, "start", unacknowledged)
    await deliver(worker, Channel.SMS)

    assert {status_of(owner, id_) for id_ in ids} == {"sent"}
    assert (await vendors.stats())["twilio"]["accepted"] == 3


async def test_a_start_that_did_not_commit_sends_nothing(
    worker: Runtime, vendors: Vendors, owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    id_ = insert(owner, "sms")

    async def away(*_arguments: Any, **_named: Any) -> Any:
        raise OperationalError("the connection broke")

    monkeypatch.setattr(starts, "start", away)
    await deliver(worker, Channel.SMS)

    assert status_of(owner, id_) == "queued"
    assert (await vendors.stats())["twilio"]["accepted"] == 0
    assert worker.budget.in_flight == 0


async def test_a_held_outcome_keeps_its_lease(worker: Runtime, owner: psycopg.Connection) -> None:
    id_ = insert(owner, "sms")
    with psycopg.connect(owner.info.dsn) as other:
        token, ids = await claimed(worker.pool, Channel.SMS)
        await send_bundle(worker, Channel.SMS, token, ids)
        other.execute("SELECT FROM channel_outbox WHERE id = %s FOR UPDATE", (id_,))
        await worker.sender.drained()
        (send_key,) = worker.sender.live
        ours = {send_key: worker.sender.live[send_key].flight.lease.token}
        assert await batches.renew(worker.pool, ours, 60) == {send_key}
    await worker.settled()
    assert not worker.sender.live
    assert status_of(owner, id_) == "sent"


async def test_a_replay_that_made_no_request_is_not_counted(
    worker: Runtime, vendors: Vendors, owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    id_ = insert(owner)
    await vendors.fault(vendor="resend", kind="accept_then_drop", count=1)
    await deliver(worker)

    async def none(*_arguments: Any) -> None:
        return None

    with monkeypatch.context() as patched:
        patched.setattr("workers.replay._same_account", none)
        travel(owner, 10)
        await _replay(worker)
    assert (column_of(owner, id_, "attempts"), status_of(owner, id_)) == (1, "unknown")
    travel(owner, 1000)
    await _replay(worker)
    assert attempts_of(owner, id_) == [(1, "unknown", True), (2, "accepted", True)]


async def test_a_process_that_drains_gives_back_what_it_has_not_started(
    worker: Runtime, vendors: Vendors, owner: psycopg.Connection
) -> None:
    id_ = insert(owner, "sms")
    token, ids = await claimed(worker.pool, Channel.SMS)
    await worker.drain()
    await send_bundle(worker, Channel.SMS, token, ids)
    assert (status_of(owner, id_), column_of(owner, id_, "attempts")) == ("scheduled", 0)
    assert (await vendors.stats())["twilio"]["requests"] == 0


async def _replay(worker: Runtime) -> None:
    token = uuid4()
    for key, channel in await batches.claim_replays(worker.pool, token, lease_seconds=60, limit=10):
        await replay_batch(worker, channel, token, UUID(key))
    await worker.settled()
