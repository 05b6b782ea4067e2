"""Unknown outcomes of a vendor that honours our key: the same bytes again, and never a second mail."""

from uuid import UUID, uuid4

import psycopg
import pytest

from outbox import batches
from tests.factories import attempts_of, column_of, insert, pause, status_of, suppress, travel
from tests.integration.conftest import Open, Vendors, deliver, end_of_pauses
from workers.replay import replay_batch
from workers.runtime import Runtime

SHAPES = (1, 5)


async def replay(worker: Runtime) -> int:
    """Replay what is due, as the rescuer asks for it; returns how many batches were."""
    token = uuid4()
    due = await batches.claim_replays(worker.pool, token, lease_seconds=60, limit=10)
    for key, channel in due:
        await replay_batch(worker, channel, token, UUID(key))
    await worker.settled()
    return len(due)


@pytest.mark.parametrize("members", SHAPES)
@pytest.mark.parametrize("kind", ["accept_then_drop", "server_error_after_accept", "server_error", "drop"])
async def test_what_was_unknown_is_sent_once(
    worker: Runtime, vendors: Vendors, owner: psycopg.Connection, kind: str, members: int
) -> None:
    ids = [insert(owner, recipient_email=f"delivered+{number}@resend.dev") for number in range(members)]
    await vendors.fault(vendor="resend", kind=kind, count=1)

    await deliver(worker)
    assert {status_of(owner, id_) for id_ in ids} == {"unknown"}
    travel(owner, 10)
    assert await replay(worker) == 1

    assert {status_of(owner, id_) for id_ in ids} == {"sent"}
    assert attempts_of(owner, ids[0]) == [(1, "unknown", True), (2, "accepted", True)]
    resend = (await vendors.stats())["resend"]
    assert (resend["accepted"], resend["duplicates"]) == (members, 0)
    accepted = {one["id"] for one in await vendors.accepted()}
    assert {column_of(owner, id_, "provider_message_id") for id_ in ids} == accepted


async def test_a_replay_is_byte_for_byte_the_same(worker: Runtime, vendors: Vendors, owner: psycopg.Connection) -> None:
    for number in range(3):
        insert(owner, recipient_email=f"delivered+{number}@resend.dev")
    await vendors.fault(vendor="resend", kind="server_error", count=2)

    await deliver(worker)
    for wait in (10, 100):
        travel(owner, wait)
        await replay(worker)

    (key,) = await vendors.keys()
    assert (key["requests"], key["distinct_bodies"], key["accepted"]) == (3, 1, 3)


@pytest.mark.parametrize("kind", ["too_many", "server_error"])
async def test_an_answer_to_a_replay_says_nothing_of_the_first_request(
    worker: Runtime, vendors: Vendors, owner: psycopg.Connection, redis_url: str, kind: str
) -> None:
    id_ = insert(owner)
    await vendors.fault(vendor="resend", kind="accept_then_drop", count=1)
    await deliver(worker)
    await vendors.fault(vendor="resend", kind=kind, count=1)
    travel(owner, 10)
    await replay(worker)

    assert status_of(owner, id_) == "unknown"
    travel(owner, 100)
    end_of_pauses(worker, redis_url)
    await replay(worker)

    assert status_of(owner, id_) == "sent"
    assert len(await vendors.accepted()) == 1


async def test_a_replay_is_the_same_send_as_its_start_also_to_who_was_suppressed_since(
    worker: Runtime, vendors: Vendors, owner: psycopg.Connection
) -> None:
    workspace = uuid4()
    first, other = (insert(owner, workspace_id=workspace, recipient_email=f"delivered+{n}@resend.dev") for n in (1, 2))
    await vendors.fault(vendor="resend", kind="accept_then_drop", count=1)
    await deliver(worker)
    suppress(owner, workspace, "delivered+1@resend.dev")
    pause(owner, f"workspace:{workspace}")
    travel(owner, 10)
    await replay(worker)

    assert (status_of(owner, first), status_of(owner, other)) == ("sent", "sent")
    (key,) = await vendors.keys()
    assert (key["requests"], key["distinct_bodies"], key["accepted"]) == (2, 1, 2)


async def test_a_refused_member_of_an_accepted_batch_is_refused(
    worker: Runtime, vendors: Vendors, owner: psycopg.Connection
) -> None:
    fine, bad = insert(owner), insert(owner, recipient_email="x@example.com")
    await vendors.fault(vendor="resend", kind="accept_then_drop", count=1)

    await deliver(worker)
    travel(owner, 10)
    await replay(worker)

    assert (status_of(owner, fine), status_of(owner, bad)) == ("sent", "failed")


async def test_under_another_key_nothing_is_replayed(
    open_worker: Open, vendors: Vendors, owner: psycopg.Connection
) -> None:
    first = await open_worker(RESEND_API_KEY="re_first", RESEND_FROM_EMAIL="us@fleet.dev")
    id_ = insert(owner)
    await vendors.fault(vendor="resend", kind="accept_then_drop", count=1)
    await deliver(first)
    second = await open_worker(RESEND_API_KEY="re_second", RESEND_FROM_EMAIL="us@fleet.dev")
    travel(owner, 10)

    assert await replay(second) == 1

    assert status_of(owner, id_) == "unknown"
    assert (await vendors.stats())["resend"]["requests"] == 1
    travel(owner, 1000)
    await replay(first)
    assert status_of(owner, id_) == "sent"


async def test_a_worker_that_died_in_the_middle_of_a_batch(
    worker: Runtime, vendors: Vendors, owner: psycopg.Connection
) -> None:
    """It died after the vendor took the request: the ledger has only the start."""
    ids = [insert(owner, recipient_email=f"delivered+{number}@resend.dev") for number in range(3)]
    worker.flusher.add = lambda settlements, ended: None  # type: ignore[method-assign]
    await deliver(worker)
    assert {status_of(owner, id_) for id_ in ids} == {"sending"}
    del worker.flusher.add

    travel(owner, 70)
    await batches.expire(worker.pool, margin_seconds=2, limit=10)
    await replay(worker)

    assert {status_of(owner, id_) for id_ in ids} == {"sent"}
    resend = (await vendors.stats())["resend"]
    assert (resend["requests"], resend["accepted"], resend["duplicates"]) == (2, 3, 0)
