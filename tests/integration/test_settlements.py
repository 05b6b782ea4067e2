"""sending → its end, or unknown; and nothing at all under a lost lease."""

import math
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import psycopg
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from config.database import Pool
from outbox.settlements import Ended, settle
from outbox.states import Status
from providers.base import attempt_id
from tests.factories import attempts_of, column_of, insert, status_of
from tests.started import Started, start


async def settled(ledger: Pool, started: Started, *settlements: object, replay: float | None = None) -> set[UUID]:
    ended = [Ended(started.send_key, started.lease, replay)]
    return await settle(ledger, settlements, ended, worker="test")  # type: ignore[arg-type]


async def test_an_acceptance(ledger: Pool, owner: psycopg.Connection) -> None:
    id_ = insert(owner)
    started = await start(ledger)

    assert await settled(ledger, started, started.settlement(id_, response={"id": "vendor"}, http_status=200)) == {id_}

    assert status_of(owner, id_) == "sent"
    assert column_of(owner, id_, "provider_response") == {"id": "vendor"}
    assert column_of(owner, id_, "provider_message_id") == f"vendor-{id_}"
    assert column_of(owner, id_, "sent_at") is not None
    assert column_of(owner, id_, "finalized_at") is None
    assert attempts_of(owner, id_) == [(1, "accepted", True)]
    row = owner.execute(
        "SELECT id, send_key, http_status, worker, started_at <= finished_at FROM fleet.attempts"
    ).fetchone()
    assert row == (attempt_id(started.send_key, id_), started.send_key, 200, "test", True)
    assert owner.execute("SELECT count(*) FROM fleet.batches").fetchone() == (0,)


async def test_each_decision_has_its_status(ledger: Pool, owner: psycopg.Connection) -> None:
    failed, later, unknown = insert(owner), insert(owner), insert(owner)
    started = await start(ledger, provider="twilio", body=None)

    await settled(
        ledger,
        started,
        started.settlement(
            failed, Status.FAILED, error_class="rejected", error_code="21211", error_message="bad number"
        ),
        started.settlement(later, Status.SCHEDULED, delay_seconds=100.0, counted=False, error_code="20429"),
        started.settlement(unknown, Status.UNKNOWN, error_code="timeout"),
    )

    assert (status_of(owner, failed), column_of(owner, failed, "error_class")) == ("failed", "rejected")
    assert column_of(owner, failed, "finalized_at") is not None
    assert status_of(owner, later) == "scheduled"
    assert column_of(owner, later, "scheduled_at") > datetime.now(UTC) + timedelta(seconds=90)
    assert attempts_of(owner, later) == [(1, "later", False)]
    assert (status_of(owner, unknown), attempts_of(owner, unknown)) == ("unknown", [(1, "unknown", True)])


async def test_a_lost_lease_settles_nothing(ledger: Pool, owner: psycopg.Connection) -> None:
    id_ = insert(owner)
    started = await start(ledger)
    thief = Started(started.send_key, uuid4(), started.ids)

    assert await settled(ledger, thief, thief.settlement(id_)) == set()

    assert status_of(owner, id_) == "sending"
    assert attempts_of(owner, id_) == []
    assert owner.execute("SELECT count(*) FROM fleet.batches").fetchone() == (1,)


async def test_a_batch_is_settled_in_pieces_and_ends_with_the_last(ledger: Pool, owner: psycopg.Connection) -> None:
    first, second = insert(owner), insert(owner)
    started = await start(ledger, provider="twilio", body=None)

    await settle(ledger, [started.settlement(first)], [], worker="test")
    assert owner.execute("SELECT count(*) FROM fleet.batches").fetchone() == (1,)
    await settled(ledger, started, started.settlement(second))

    assert {status_of(owner, id_) for id_ in (first, second)} == {"sent"}
    assert owner.execute("SELECT count(*) FROM fleet.batches").fetchone() == (0,)


async def test_settling_twice_changes_nothing(ledger: Pool, owner: psycopg.Connection) -> None:
    id_ = insert(owner)
    started = await start(ledger)
    await settled(ledger, started, started.settlement(id_))

    again = started.settlement(id_, Status.FAILED, error_class="rejected")
    assert await settled(ledger, started, again) == set()
    assert status_of(owner, id_) == "sent"
    assert len(attempts_of(owner, id_)) == 1


async def test_an_unknown_batch_of_an_idempotent_vendor_waits_for_its_replay(
    ledger: Pool, owner: psycopg.Connection
) -> None:
    id_ = insert(owner)
    started = await start(ledger)

    await settled(ledger, started, started.settlement(id_, Status.UNKNOWN, error_code="timeout"), replay=30)

    assert status_of(owner, id_) == "unknown"
    row = owner.execute(
        "SELECT tainted, lease_token, lease_expires_at > now() + interval '20 s' FROM fleet.batches"
    ).fetchone()
    assert row == (True, None, True)


async def test_a_vendor_id_that_stands_already_costs_only_its_own_answer(
    ledger: Pool, owner: psycopg.Connection
) -> None:
    ids = [insert(owner) for _ in range(9)]
    started = await start(ledger, provider="twilio", body=None)
    twice = [started.settlement(id_, provider_message_id="same" if id_ in ids[3:5] else str(id_)) for id_ in ids]

    assert await settled(ledger, started, *twice) == set(ids)

    assert {status_of(owner, id_) for id_ in ids} == {"sent"}
    codes = [column_of(owner, id_, "error_code") for id_ in ids]
    assert codes.count("unstorable_answer") == 1
    assert owner.execute("SELECT count(*) FROM fleet.attempts WHERE provider_message_id = 'same'").fetchone() == (1,)
    assert owner.execute("SELECT count(*) FROM fleet.batches").fetchone() == (0,)


POISONS: tuple[object, ...] = (
    {"text": "a\x00b"}, {"text": "\ud800"}, {"number": math.nan}, {"number": math.inf}, {"\x00": 1},
    {"huge": 10**400}, {"long": "x" * 100_000}, [[[]]] * 3, "text", 5, True, {"bytes": b"\x00"},
)  # fmt: skip


def nested(levels: int) -> object:
    value: object = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize("poison", [*POISONS, nested(20_000), nested(100)], ids=lambda poison: str(type(poison)))
async def test_no_answer_poisons_its_neighbours(ledger: Pool, owner: psycopg.Connection, poison: object) -> None:
    ids = [insert(owner) for _ in range(5)]
    started = await start(ledger, provider="twilio", body=None)
    settlements = [started.settlement(id_, response=poison if id_ == ids[2] else {"fine": 1}) for id_ in ids]

    assert await settled(ledger, started, *settlements) == set(ids)

    assert {status_of(owner, id_) for id_ in ids} == {"sent"}
    assert column_of(owner, ids[0], "provider_response") == {"fine": 1}


@hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    response=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.binary(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters()), inner),
    ),
    text=st.text(st.characters(exclude_categories=())),
)
async def test_settle_never_raises(ledger: Pool, owner: psycopg.Connection, response: object, text: str) -> None:
    id_ = insert(owner)
    started = await start(ledger, provider="twilio", body=None)
    one = started.settlement(
        id_, response=response, error_message=text, error_code=text, provider_message_id=text + str(id_)
    )

    assert await settled(ledger, started, one) == {id_}
    assert status_of(owner, id_) == "sent"
