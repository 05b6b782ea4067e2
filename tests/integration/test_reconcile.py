"""Unknown outcomes of vendors that can be asked: found in the record or sent again, and never twice."""

from uuid import UUID, uuid4

import psycopg
import pytest

from config.catalog import served_channels
from config.channels import Channel
from outbox import batches, unknowns
from tests.factories import attempts_of, column_of, insert, status_of, travel
from tests.integration.conftest import Open, Vendors, deliver
from tests.started import claimed
from workers.reconcile import look_up
from workers.runtime import Runtime
from workers.send import send_bundle

LOOKS_SECONDS = (61, 181, 901)
EVERYONE = [("twilio", Channel.SMS), ("twilio", Channel.VOICE), ("vapi", Channel.VOICE)]
PAYLOADS = {
    ("twilio", Channel.SMS): {"body": "Hello"},
    ("twilio", Channel.VOICE): {"say": "Hello"},
    ("vapi", Channel.VOICE): {"assistant_id": "a", "first_message": "Hello"},
}


def one(owner: psycopg.Connection, provider: str, channel: Channel, **columns: object) -> UUID:
    payload = PAYLOADS[(provider, channel)]
    return insert(owner, channel=channel.value, **{"provider": provider, "payload": payload, **columns})


async def look(worker: Runtime) -> int:
    """Look up what is due, as the scheduler asks for it; returns how many attempts were."""
    token, total = uuid4(), 0
    for channel in sorted(served_channels()):
        due = await unknowns.claim(worker.pool, channel, token, worker.patience, lease_seconds=60, limit=100)
        await look_up(worker, channel, token, due)
        total += len(due)
    return total


@pytest.mark.parametrize(("provider", "channel"), EVERYONE)
@pytest.mark.parametrize("kind", ["accept_then_drop", "server_error_after_accept"])
async def test_what_the_vendor_took_is_found_at_the_first_look(
    worker: Runtime, vendors: Vendors, owner: psycopg.Connection, provider: str, channel: Channel, kind: str
) -> None:
    ids = [one(owner, provider, channel, recipient_phone=f"+1415555010{number}") for number in range(3)]
    await vendors.fault(vendor=provider, kind=kind, count=3)
    await deliver(worker, channel)
    assert {status_of(owner, id_) for id_ in ids} == {"unknown"}

    assert await look(worker) == 0  # the grace is not over
    travel(owner, 61)
    assert await look(worker) == 3

    assert {status_of(owner, id_) for id_ in ids} == {"sent"}
    accepted = {record["id"]: record for record in await vendors.accepted()}
    assert {column_of(owner, id_, "provider_message_id") for id_ in ids} == set(accepted)
    assert (await vendors.stats())[provider]["accepted"] == 3
    assert attempts_of(owner, ids[0]) == [(1, "unknown", True)]


@pytest.mark.parametrize(("provider", "channel"), EVERYONE)
@pytest.mark.parametrize("kind", ["drop", "server_error"])
async def test_what_the_vendor_never_took_is_sent_again_after_the_horizon(
    worker: Runtime, vendors: Vendors, owner: psycopg.Connection, provider: str, channel: Channel, kind: str
) -> None:
    id_ = one(owner, provider, channel)
    await vendors.fault(vendor=provider, kind=kind, count=1)
    await deliver(worker, channel)

    for seconds in LOOKS_SECONDS:
        assert status_of(owner, id_) == "unknown"
        travel(owner, seconds)
        assert await look(worker) == 1
    assert status_of(owner, id_) == "scheduled"

    travel(owner, 902)
    await deliver(worker, channel)
    assert status_of(owner, id_) == "sent"
    assert (await vendors.stats())[provider]["accepted"] == 1
    assert attempts_of(owner, id_) == [(1, "unknown", True), (2, "accepted", True)]


@pytest.mark.parametrize(("provider", "channel"), EVERYONE)
async def test_two_alike_to_one_number_and_one_of_them_unknown(
    worker: Runtime, vendors: Vendors, owner: psycopg.Connection, provider: str, channel: Channel
) -> None:
    ids = [one(owner, provider, channel), one(owner, provider, channel)]
    await vendors.fault(vendor=provider, kind="accept_then_drop", count=1)
    await deliver(worker, channel)
    assert sorted(status_of(owner, id_) for id_ in ids) == ["sent", "unknown"]

    travel(owner, 61)
    await look(worker)

    assert {status_of(owner, id_) for id_ in ids} == {"sent"}
    assert len({column_of(owner, id_, "provider_message_id") for id_ in ids}) == 2
    assert (await vendors.stats())[provider]["accepted"] == 2


async def test_two_alike_to_one_number_and_the_vendor_took_only_one(
    worker: Runtime, vendors: Vendors, owner: psycopg.Connection
) -> None:
    ids = [one(owner, "twilio", Channel.SMS), one(owner, "twilio", Channel.SMS)]
    await vendors.fault(vendor="twilio", kind="drop", count=1)
    await deliver(worker, Channel.SMS)

    for seconds in LOOKS_SECONDS:
        travel(owner, seconds)
        await look(worker)
    assert sorted(status_of(owner, id_) for id_ in ids) == ["scheduled", "sent"]
    travel(owner, 902)
    await deliver(worker, Channel.SMS)
    assert {status_of(owner, id_) for id_ in ids} == {"sent"}
    assert (await vendors.stats())["twilio"]["accepted"] == 2


async def test_what_somebody_else_sent_to_the_number_leaves_it_to_a_person(
    open_worker: Open, vendors: Vendors, owner: psycopg.Connection
) -> None:
    worker = await open_worker()
    foreign = one(owner, "twilio", Channel.SMS, payload={"body": "By another system of the same account"})
    await deliver(worker, Channel.SMS)
    owner.execute("DELETE FROM fleet.attempts WHERE message_id = %s", (foreign,))
    mine = one(owner, "twilio", Channel.SMS)
    await vendors.fault(vendor="twilio", kind="drop", count=1)
    await deliver(worker, Channel.SMS)

    travel(owner, 61)
    await look(worker)

    assert (status_of(owner, mine), column_of(owner, mine, "error_code")) == ("unknown", "ambiguous")


async def test_a_dead_workers_message_is_looked_up_as_well(
    worker: Runtime, vendors: Vendors, owner: psycopg.Connection
) -> None:
    id_ = one(owner, "twilio", Channel.SMS)
    token, ids = await claimed(worker.pool, Channel.SMS)
    worker.sender.launch = lambda batch: None  # type: ignore[method-assign] # it dies right after its start
    await send_bundle(worker, Channel.SMS, token, ids)
    travel(owner, 70)
    await batches.expire(worker.pool, margin_seconds=2, limit=10)
    assert status_of(owner, id_) == "unknown"

    for seconds in LOOKS_SECONDS:
        travel(owner, 60 + seconds)
        await look(worker)
    assert status_of(owner, id_) == "scheduled"


async def test_other_credentials_are_not_asked(
    open_worker: Open, worker: Runtime, vendors: Vendors, owner: psycopg.Connection
) -> None:
    id_ = one(owner, "twilio", Channel.SMS)
    await vendors.fault(vendor="twilio", kind="accept_then_drop", count=1)
    await deliver(worker, Channel.SMS)
    changed = await open_worker(TWILIO_AUTH_TOKEN="another", TWILIO_ACCOUNT_SID="AC" + "1" * 32)

    for seconds in LOOKS_SECONDS[:2]:
        travel(owner, seconds)
        await look(changed)
    assert column_of(owner, id_, "error_code") == "connection_lost"
    travel(owner, 400)
    await look(worker)
    assert status_of(owner, id_) == "sent"


async def test_what_went_out_under_other_credentials_is_left_to_a_person_in_the_end(
    open_worker: Open, worker: Runtime, vendors: Vendors, owner: psycopg.Connection
) -> None:
    id_ = one(owner, "twilio", Channel.SMS)
    await vendors.fault(vendor="twilio", kind="accept_then_drop", count=1)
    await deliver(worker, Channel.SMS)
    changed = await open_worker(TWILIO_AUTH_TOKEN="another", TWILIO_ACCOUNT_SID="AC" + "1" * 32)

    travel(owner, 901)
    await look(changed)
    assert (status_of(owner, id_), column_of(owner, id_, "error_code")) == ("unknown", "other_credentials")
    assert "fleet messages arrived" in column_of(owner, id_, "error_message")
    travel(owner, 100_000)
    assert await look(changed) == 0


async def test_a_vendor_that_cannot_be_asked_now_is_asked_later(
    worker: Runtime, vendors: Vendors, owner: psycopg.Connection
) -> None:
    id_ = one(owner, "twilio", Channel.SMS)
    await vendors.fault(vendor="twilio", kind="accept_then_drop", count=1)
    await deliver(worker, Channel.SMS)
    travel(owner, 61)
    await vendors.fault(vendor="twilio", kind="server_error", count=1, operation="read")
    assert await look(worker) == 1
    assert status_of(owner, id_) == "unknown"
    assert await look(worker) == 0
    travel(owner, 70)
    assert await look(worker) == 1
    assert status_of(owner, id_) == "sent"
