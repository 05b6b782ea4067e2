"""An owner's database, whatever its ways: its rows are kept, and every transition of messages and jobs works."""

from collections.abc import Iterator
from uuid import UUID, uuid4

import psycopg
import pytest

from config.channels import Channel
from config.database import Pool, pool
from config.settings import load
from outbox import batches, claims, jobs, overview, search, starts
from outbox.migrate.runner import migrate
from outbox.migrate.verify import problems
from outbox.settlements import Ended, settle
from outbox.states import Status
from tests.factories import attempts_of, insert, pause, status_of, travel
from tests.started import claimed, start

from .fingerprints import columns_of, rows_of
from .other_servers import EMBEDDED, VERSIONS
from .owners_database import fill, make
from .owners_ways import WAYS

# What a statement could stumble over is walked on every version.
ON_EACH_VERSION = ("enum status with a check", "enum channel and provider", "one enum for both queues", "varchar")
EVERYWHERE = [(EMBEDDED, way) for way in WAYS] + [(other, way) for other in VERSIONS[1:] for way in ON_EACH_VERSION]

Owner = psycopg.Connection


@pytest.fixture
def owner(any_database: str) -> Iterator[Owner]:
    """The owner of a database as the description has it, with rows."""
    with psycopg.connect(any_database, autocommit=True) as connection:
        make(connection)
        fill(connection, messages=20)
        yield connection


@pytest.mark.parametrize(("server", "way"), EVERYWHERE, indirect=["server"])
async def test_an_owners_database_is_kept_and_works(any_database: str, owner: Owner, way: str) -> None:
    owner.execute(WAYS[way].encode())
    columns = columns_of(owner)
    rows = rows_of(owner, columns)

    assert migrate(any_database, lambda _line: None)

    assert rows_of(owner, columns) == rows
    assert problems(owner) == []
    assert migrate(any_database, lambda _line: None) == []
    async with pool(load({}), any_database, size=2, process="test") as fleet:
        await _every_transition(fleet, owner)


async def _every_transition(fleet: Pool, owner: Owner) -> None:
    assert await claims.reject_unclaimable(fleet, list(Channel), limit=10) == 2, "each tenant has one without channel"
    await _claimed_and_given_back(fleet, owner)
    await _refused_at_the_start(fleet, owner)
    await _settled(fleet, owner)
    await _tried_again(fleet, owner)
    await _replayed(fleet, owner)
    await _died_while_sending(fleet, owner)
    await _taken_back(fleet, owner)
    await _looked_at(fleet)
    await _jobs(fleet, owner)


async def _claimed_and_given_back(fleet: Pool, owner: Owner) -> None:
    id_ = insert(owner)
    token, ids = await claimed(fleet)
    assert ids == [str(id_)]
    assert await claims.release(fleet, ids, token) == 1
    await claimed(fleet, lease_seconds=-1)
    assert await claims.rescue(fleet, limit=10) == 1
    token, ids = await claimed(fleet)
    await starts.defer(fleet, token, [{"id": id_, "error_code": "x", "error_message": "x", "delay_seconds": 60}])
    assert status_of(owner, id_) == "scheduled"
    assert 0 < (await claims.next_due(fleet) or 0) <= 60
    owner.execute("UPDATE channel_outbox SET scheduled_at = now() WHERE id = %s", (id_,))
    token, ids = await claimed(fleet)
    await starts.reject(fleet, token, [{"id": id_, "error_code": "x", "error_message": "x" * 400}])
    assert status_of(owner, id_) == "failed"
    assert await search.retry(fleet, [id_], actor="test") == {id_}
    assert await search.cancel(fleet, [id_], actor="test") == {id_}


async def _refused_at_the_start(fleet: Pool, owner: Owner) -> None:
    suppressed, paused = insert(owner), insert(owner, channel="sms")
    expired = insert(owner, expires_at="2020-01-01")
    claims_of = {channel: await claimed(fleet, channel) for channel in (Channel.EMAIL, Channel.SMS)}
    owner.execute(
        "INSERT INTO fleet.suppressions (workspace_id, channel, address, reason, source) "
        "SELECT workspace_id, channel, recipient_email, 'stop', 'test' FROM channel_outbox WHERE id = %s",
        (suppressed,),
    )
    pause(owner, "provider:twilio", until="infinity")
    await start(fleet, claim=claims_of[Channel.EMAIL])
    await start(fleet, Channel.SMS, provider="twilio", claim=claims_of[Channel.SMS])
    assert [status_of(owner, id_) for id_ in (suppressed, expired, paused)] == ["suppressed", "failed", "scheduled"]
    owner.execute("DELETE FROM fleet.pauses WHERE scope_key = 'provider:twilio'")
    assert await search.cancel(fleet, [paused], actor="test") == {paused}


async def _settled(fleet: Pool, owner: Owner) -> None:
    sent, failed, unknown = insert(owner), insert(owner), insert(owner)
    started = await start(fleet)
    outcomes = {sent: Status.SENT, failed: Status.FAILED, unknown: Status.UNKNOWN}
    settlements = [started.settlement(id_, status, response={"id": 1}) for id_, status in outcomes.items()]
    assert await settle(fleet, settlements, [Ended(started.send_key, started.lease)], worker="w") == set(outcomes)
    assert {id_: status_of(owner, id_) for id_ in outcomes} == {id_: str(status) for id_, status in outcomes.items()}
    assert attempts_of(owner, sent) == [(1, "accepted", True)]


async def _tried_again(fleet: Pool, owner: Owner) -> None:
    id_ = insert(owner, channel="voice", provider="vapi")
    for number, outcome in ((1, Status.SCHEDULED), (2, Status.FAILED), (3, Status.SENT)):
        started = await start(fleet, Channel.VOICE, provider="vapi", body=None)
        await settle(fleet, [started.settlement(id_, outcome)], [Ended(started.send_key, started.lease)], worker="w")
        assert (status_of(owner, id_), attempts_of(owner, id_)[-1][0]) == (outcome, number)
        await search.retry(fleet, [id_], actor="test")


async def _replayed(fleet: Pool, owner: Owner) -> None:
    id_, token, lease = insert(owner), uuid4(), uuid4()
    first = await start(fleet)
    ended = [Ended(first.send_key, first.lease, replay_after_seconds=0)]
    await settle(fleet, [first.settlement(id_, Status.UNKNOWN)], ended, worker="w")
    assert await batches.claim_replays(fleet, token, lease_seconds=60, limit=10) == [(str(first.send_key), "email")]
    found = await batches.begin_replay(fleet, first.send_key, token, worker=uuid4(), lease=lease, lease_seconds=60)
    assert found is not None
    assert found.member_ids == [id_]
    answer = type(first)(first.send_key, lease, [id_]).settlement(id_)
    assert await settle(fleet, [answer], [Ended(first.send_key, lease)], worker="w") == {id_}
    assert status_of(owner, id_) == "sent"


async def _died_while_sending(fleet: Pool, owner: Owner) -> None:
    known, orphan = insert(owner), insert(owner, channel="sms")
    await start(fleet)
    lost = await start(fleet, Channel.SMS, provider="twilio", body=None)
    owner.execute("DELETE FROM fleet.batches WHERE send_key = %s", (lost.send_key,))
    travel(owner, 120)
    (expired,) = await batches.expire(fleet, margin_seconds=1, limit=10)
    assert (expired.replayable, expired.unknown) == (True, 1)
    assert await batches.mark_orphans(fleet, lease_seconds=60, limit=10) == 1
    travel(owner, 0)
    assert [status_of(owner, id_) for id_ in (known, orphan)] == ["unknown", "unknown"]


async def _taken_back(fleet: Pool, owner: Owner) -> None:
    queued = insert(owner)
    await claimed(fleet)
    scheduled = insert(owner)
    assert await search.cancel(fleet, [queued, scheduled], actor="test") == {queued, scheduled}
    assert {status_of(owner, id_) for id_ in (queued, scheduled)} == {"cancelled"}


async def _looked_at(fleet: Pool) -> None:
    view = await overview.overview(fleet)
    assert view.channels["email"].statuses["sent"] >= 2
    found = await search.find(fleet, search.Filter(statuses=[Status.SENT], channel="email", provider=None), limit=10)
    read = await search.read(fleet, found[0].id)
    assert read is not None
    assert read[0]["status"] == "sent"


async def _jobs(fleet: Pool, owner: Owner) -> None:
    ids = [_job(owner) for _ in range(3)]
    token, lease = uuid4(), uuid4()
    assert sorted(await jobs.claim(fleet, ["retry_messages"], token, limit=9, lease_seconds=60)) == sorted(
        map(str, ids)
    )
    await jobs.release(fleet, [str(ids[0])], token)
    for id_ in ids[1:]:
        assert await jobs.begin(fleet, id_, token, lease=lease, lease_seconds=60)
    assert await jobs.report(fleet, ids[1], lease, lease_seconds=60, progress={"done": 1})
    assert await jobs.complete(fleet, ids[1], lease, {"done": 2})
    assert await jobs.fail(fleet, ids[2], lease, "why", final=False, delay_seconds=0) == "pending"
    again = await jobs.claim(fleet, ["retry_messages"], token, limit=1, lease_seconds=-1)
    assert len(again) == await jobs.rescue(fleet, limit=9) == 1
    query = "SELECT status::text FROM job_queue WHERE id = ANY (%s) ORDER BY status::text"
    assert owner.execute(query, (ids,)).fetchall() == [("completed",), ("pending",), ("pending",)]


def _job(owner: Owner) -> UUID:
    (id_,) = owner.execute("INSERT INTO job_queue (job_type) VALUES ('retry_messages') RETURNING id").fetchone() or ()
    assert isinstance(id_, UUID)
    return id_
