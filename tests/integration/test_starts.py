"""queued → sending, and every refusal."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import psycopg
import pytest

from config.channels import Channel
from config.database import Pool
from outbox import claims, search, starts
from outbox.settlements import Ended, settle
from outbox.starts import Batch, Candidate, Claimed
from outbox.states import Status
from tests.factories import column_of, insert, pause, status_of, suppress, travel
from tests.started import ACCOUNT, claimed, start


async def read(ledger: Pool, claim: tuple[UUID, list[str]], channel: Channel = Channel.EMAIL) -> list[Claimed]:
    return await starts.read(ledger, channel, claim[1], claim[0])


async def test_a_start_opens_the_batch_and_counts_the_attempt(ledger: Pool, owner: psycopg.Connection) -> None:
    ids = {insert(owner), insert(owner)}

    started = await start(ledger)

    assert set(started.ids) == ids
    for id_ in ids:
        assert (status_of(owner, id_), column_of(owner, id_, "attempts")) == ("sending", 1)
        assert column_of(owner, id_, "send_key") == started.send_key
        assert column_of(owner, id_, "lease_token") is None
    batch = owner.execute("SELECT send_key, lease_token, member_ids, body, tainted FROM fleet.batches").fetchone()
    assert batch == (started.send_key, started.lease, list(started.ids), b"body", False)


async def test_a_stale_bundle_starts_nothing(ledger: Pool, owner: psycopg.Connection) -> None:
    id_ = insert(owner)
    token, ids = await claimed(ledger)
    rows = await read(ledger, (token, ids))
    owner.execute("UPDATE channel_outbox SET status = 'cancelled' WHERE id = %s", (id_,))

    assert await read(ledger, (uuid4(), ids)) == []
    assert await read(ledger, (token, ids)) == []
    assert (await _start(ledger, token, rows)) == {}
    assert status_of(owner, id_) == "cancelled"
    assert owner.execute("SELECT count(*) FROM fleet.batches").fetchone() == (0,)


async def test_a_claim_that_ran_out_starts_nothing(ledger: Pool, owner: psycopg.Connection) -> None:
    id_ = insert(owner)
    claim = await claimed(ledger, lease_seconds=10)
    rows = await read(ledger, claim)
    travel(owner, 11)

    assert await _start(ledger, claim[0], rows) == {}
    assert status_of(owner, id_) == "queued"


async def test_a_row_that_changed_after_it_was_read_is_not_started(ledger: Pool, owner: psycopg.Connection) -> None:
    id_ = insert(owner)
    claim = await claimed(ledger)
    rows = await read(ledger, claim)
    async with ledger.connection() as connection:
        await connection.execute("UPDATE channel_outbox SET payload = '{}' WHERE id = %s", (id_,))

    assert await _start(ledger, claim[0], rows) == {}
    assert status_of(owner, id_) == "queued"


async def test_two_workers_with_the_same_bundle_start_it_once(ledger: Pool, owner: psycopg.Connection) -> None:
    everything = {insert(owner) for _ in range(40)}
    claim = await claimed(ledger)
    rows = await read(ledger, claim)

    first, second = await asyncio.gather(_start(ledger, claim[0], rows), _start(ledger, claim[0], rows))

    assert not set(first) & set(second)
    assert set(first) | set(second) == everything
    attempts = owner.execute("SELECT DISTINCT attempts FROM channel_outbox").fetchall()
    assert attempts == [(1,)]


@pytest.mark.parametrize(
    ("refusal", "status", "code"),
    [("expired", "failed", "expired"), ("suppressed", "suppressed", "suppressed"), ("paused", "scheduled", "paused")],
)
async def test_a_refusal_at_the_start(
    ledger: Pool, owner: psycopg.Connection, refusal: str, status: str, code: str
) -> None:
    workspace = uuid4()
    refused = insert(owner, workspace_id=workspace, recipient_email="Person@resend.dev")
    fine = insert(owner)
    claim = await claimed(ledger)
    if refusal == "expired":
        async with ledger.connection() as connection:
            await connection.execute("UPDATE channel_outbox SET expires_at = now() WHERE id = %s", (refused,))
    elif refusal == "suppressed":
        suppress(owner, workspace, "person@resend.dev")
    else:
        pause(owner, f"workspace:{workspace}")

    started = await start(ledger, claim=claim)

    assert started.ids == [fine]
    assert (status_of(owner, refused), column_of(owner, refused, "error_code")) == (status, code)
    assert column_of(owner, refused, "attempts") == 0
    assert column_of(owner, refused, "error_message")
    assert (column_of(owner, refused, "finalized_at") is not None) == (status != "scheduled")
    assert column_of(owner, refused, "sent_at") is None


async def test_a_suppression_committed_after_the_start_is_late(ledger: Pool, owner: psycopg.Connection) -> None:
    workspace = uuid4()
    id_ = insert(owner, workspace_id=workspace, recipient_email="person@resend.dev")
    started = await start(ledger)
    suppress(owner, workspace, "person@resend.dev")

    await settle(ledger, [started.settlement(id_)], [Ended(started.send_key, started.lease)], worker="test")

    assert status_of(owner, id_) == "sent"
    again = insert(owner, workspace_id=workspace, recipient_email="person@resend.dev")
    assert (await start(ledger)).ids == []
    assert status_of(owner, again) == "suppressed"


async def test_suppressions_are_of_a_workspace_and_a_channel(ledger: Pool, owner: psycopg.Connection) -> None:
    for workspace, channel, until in (
        (uuid4(), "email", None),
        (None, "sms", None),
        (None, "email", datetime(2020, 1, 1, tzinfo=UTC)),
    ):
        own = uuid4()
        suppress(owner, workspace or own, "person@resend.dev", channel=channel, expires_at=until)
        id_ = insert(owner, workspace_id=own, recipient_email="person@resend.dev")
        assert (await start(ledger)).ids == [id_]


async def test_a_missing_address_is_the_leads_or_the_contacts_of_the_same_tenant(
    ledger: Pool, owner: psycopg.Connection
) -> None:
    ours, theirs = uuid4(), uuid4()
    for workspace in (ours, theirs):
        owner.execute("INSERT INTO workspaces (id, name, slug) VALUES (%s, 'w', %s)", (workspace, str(workspace)))
    lead = owner.execute(
        "INSERT INTO leads (workspace_id, email, phone) VALUES (%s, 'lead@resend.dev', '+14155550199') RETURNING id",
        (ours,),
    ).fetchone()
    contact = owner.execute(
        "INSERT INTO crm_contacts (tenant_id, email, phone) VALUES (%s, 'contact@resend.dev', '1') RETURNING id",
        (ours,),
    ).fetchone()
    assert lead
    assert contact
    rows = {
        insert(owner, workspace_id=ours, recipient_email=None, recipient_id=lead[0]): "lead@resend.dev",
        insert(owner, workspace_id=ours, recipient_email=None, recipient_id=contact[0]): "contact@resend.dev",
        insert(owner, workspace_id=theirs, recipient_email=None, recipient_id=lead[0]): None,
        insert(owner, workspace_id=theirs, recipient_email=None, recipient_id=contact[0]): None,
        insert(owner, workspace_id=ours, recipient_email="own@resend.dev", recipient_id=lead[0]): "own@resend.dev",
        insert(owner, workspace_id=ours, recipient_email="", recipient_id=lead[0]): "lead@resend.dev",
        insert(owner, workspace_id=ours, recipient_email="  ", recipient_id=contact[0]): "contact@resend.dev",
    }
    insert(owner, "sms", workspace_id=ours, recipient_phone=None, recipient_id=lead[0])

    assert {row.id: row.address for row in await read(ledger, await claimed(ledger))} == rows
    texts = await read(ledger, await claimed(ledger, Channel.SMS), Channel.SMS)
    assert [row.address for row in texts] == ["+14155550199"]


async def test_a_message_of_a_refused_batch_travels_alone_whatever_else_befalls_it(
    ledger: Pool, owner: psycopg.Connection
) -> None:
    id_ = insert(owner)

    async def once_more(code: str) -> None:
        started = await start(ledger)
        later = started.settlement(id_, Status.SCHEDULED, error_code=code, counted=False)
        await settle(ledger, [later], [Ended(started.send_key, started.lease)], worker="test")

    async def travels_alone() -> bool:
        token, ids = await claimed(ledger)
        (row,) = await read(ledger, (token, ids))
        await claims.release(ledger, ids, token)
        return row.travels_alone

    assert not await travels_alone()
    await once_more("rate_limit_exceeded")
    assert not await travels_alone()
    await once_more("batch_refused")
    assert await travels_alone()
    await once_more("rate_limit_exceeded")
    assert await travels_alone()
    async with ledger.connection() as connection:
        await connection.execute("UPDATE channel_outbox SET status = 'failed' WHERE id = %s", (id_,))
    await search.retry(ledger, [id_], actor="test")
    assert not await travels_alone(), "a person has corrected it"


async def test_a_payload_over_the_limit_is_not_fetched(ledger: Pool, owner: psycopg.Connection) -> None:
    large = insert(owner, payload={"html": "x" * (starts.PAYLOAD_LIMIT_BYTES + 1)})
    empty = insert(owner, payload=None)

    found = {row.id: row for row in await read(ledger, await claimed(ledger))}

    assert (found[large].payload, found[large].has_payload) == (None, True)
    assert (found[empty].payload, found[empty].has_payload) == (None, False)


async def test_what_cannot_be_sent_ends_and_what_cannot_be_sent_now_waits(
    ledger: Pool, owner: psycopg.Connection
) -> None:
    bad, halted, foreign = insert(owner), insert(owner), insert(owner)
    token, _ = await claimed(ledger)

    await starts.reject(ledger, token, [{"id": bad, "error_code": "missing_subject", "error_message": "set it"}])
    waits = {"id": halted, "error_code": "invalid_api_key", "error_message": "revoked", "delay_seconds": 100}
    await starts.defer(ledger, token, [waits])
    await starts.reject(ledger, uuid4(), [{"id": foreign, "error_code": "x", "error_message": "y"}])

    assert (status_of(owner, bad), column_of(owner, bad, "error_class")) == ("failed", "rejected")
    assert (status_of(owner, halted), column_of(owner, halted, "error_code")) == ("scheduled", "invalid_api_key")
    assert column_of(owner, halted, "scheduled_at") > datetime.now(UTC) + timedelta(seconds=90)
    assert column_of(owner, halted, "attempts") == 0
    assert status_of(owner, foreign) == "queued"


async def _start(ledger: Pool, token: UUID, rows: list[Claimed]) -> dict[UUID, int]:
    send_key = uuid4()
    return await starts.start(
        ledger,
        Channel.EMAIL,
        token,
        [Candidate(row.id, row.address, row.seen, send_key, None, ACCOUNT, UUID(int=0)) for row in rows],
        lambda admitted: (
            [Batch(send_key, "resend", ACCOUNT, UUID(int=0), admitted, [None] * len(admitted), None)]
            if admitted
            else []
        ),
        worker=uuid4(),
        lease=uuid4(),
        lease_seconds=60,
        default_provider="resend",
    )
