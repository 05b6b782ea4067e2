"""A live database is adopted, not stormed: what was due long ago, or is another sender's, waits for a person."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import psycopg
import pytest
from click.testing import CliRunner, Result

from config.database import Pool, pool
from config.settings import load
from console.cli import main
from outbox import adoption
from outbox.migrate.runner import migrate
from tests.factories import insert, status_of
from tests.started import claimed

from .owners_database import make

Owner = psycopg.Connection


@pytest.fixture
def owner(empty_database: str) -> Iterator[Owner]:
    """The owner of a live database that the fleet does not know yet."""
    with psycopg.connect(empty_database, autocommit=True) as connection:
        make(connection)
        yield connection


@asynccontextmanager
async def adopted(database_url: str) -> AsyncIterator[Pool]:
    """Migrate, and go on as the fleet."""
    migrate(database_url, lambda _line: None)
    async with pool(load({}), database_url, size=2, process="test") as fleet:
        yield fleet


def due(owner: Owner, ago: str, **columns: Any) -> UUID:
    """Insert a message that was due some time ago."""
    (moment,) = owner.execute("SELECT now() - %s::interval", (ago,)).fetchone() or ()
    return insert(owner, scheduled_at=moment, **columns)


def sent_by_another(owner: Owner, ago: str) -> None:
    id_ = due(owner, ago, status="sent")
    owner.execute("UPDATE channel_outbox SET sent_at = scheduled_at WHERE id = %s", (id_,))


async def claims(fleet: Pool) -> set[UUID]:
    return {UUID(id_) for id_ in (await claimed(fleet))[1]}


async def held(fleet: Pool) -> tuple[str, int]:
    return await adoption.held(fleet, limit=100) or ("nothing", 0)


async def test_what_was_due_long_ago_is_held_and_the_rest_goes_out(owner: Owner, empty_database: str) -> None:
    due(owner, "25 hours")
    recent = {due(owner, "23 hours"), insert(owner)}
    insert(owner, scheduled_at="tomorrow")
    async with adopted(empty_database) as fleet:
        assert await held(fleet) == ("due more than 24 hours before the fleet adopted this database", 1)
        assert await claims(fleet) == recent
        assert await adoption.release(fleet, actor="test")
        assert len(await claims(fleet)) == 1
        assert await held(fleet) == ("nothing", 0)


async def test_without_a_backlog_nothing_is_held(owner: Owner, empty_database: str) -> None:
    waiting = insert(owner)
    sent_by_another(owner, "25 hours")
    async with adopted(empty_database) as fleet:
        assert await held(fleet) == ("nothing", 0)
        assert await claims(fleet) == {waiting}


async def test_beside_another_sender_everything_is_held(owner: Owner, empty_database: str) -> None:
    before = insert(owner)
    sent_by_another(owner, "1 hour")
    async with adopted(empty_database) as fleet:
        after = insert(owner)
        reason, count = await held(fleet)
        assert "another sender" in reason
        assert count == 2
        assert await claims(fleet) == set()
        # The other one goes on meanwhile, and what it has sent is not sent again.
        owner.execute("UPDATE channel_outbox SET status = 'sent', sent_at = now() WHERE id = %s", (before,))
        await adoption.release(fleet, actor="test")
        assert await claims(fleet) == {after}


@pytest.mark.parametrize(
    ("job", "is_sender"),
    [("SELECT net.http_post('https://example.com') FROM channel_outbox", True), ("VACUUM public.leads", False)],
)
async def test_a_cron_job_that_names_the_outbox_is_a_sender(
    owner: Owner, empty_database: str, job: str, is_sender: bool
) -> None:
    waiting = insert(owner)
    owner.execute("CREATE SCHEMA cron")
    owner.execute("CREATE TABLE cron.job (jobid bigserial, schedule text, command text)")
    owner.execute("INSERT INTO cron.job (schedule, command) VALUES ('* * * * *', %s)", (job,))
    async with adopted(empty_database) as fleet:
        assert ("pg_cron" in (await held(fleet))[0]) is is_sender
        assert await claims(fleet) == (set() if is_sender else {waiting})


async def test_adopted_once_is_adopted_for_good(owner: Owner, empty_database: str) -> None:
    due(owner, "2 days")
    async with adopted(empty_database) as fleet:
        await adoption.release(fleet, actor="test")
        owner.execute("DELETE FROM fleet.schema_migrations WHERE name LIKE 'fleet/%adoption'")
        migrate(empty_database, lambda _line: None)
        assert await held(fleet) == ("nothing", 0)


async def test_the_held_are_counted_and_cancelled_in_pieces(owner: Owner, empty_database: str) -> None:
    old = [due(owner, "2 days") for _ in range(5)]
    recent = insert(owner)
    async with adopted(empty_database) as fleet:
        assert (await adoption.held(fleet, limit=3) or ("", 0))[1] == 3
        assert [await adoption.cancel_some(fleet, actor="test", limit=2) for _ in range(4)] == [2, 2, 1, 0]
    assert {status_of(owner, id_) for id_ in old} == {"cancelled"}
    assert status_of(owner, recent) == "scheduled"
    noted = "SELECT sum((detail ->> 'messages')::int), min(actor) FROM fleet.audit_log WHERE action = 'cancel'"
    assert owner.execute(noted).fetchone() == (5, "test")


async def test_a_hold_of_everything_is_cancelled_with_what_is_due_later(owner: Owner, empty_database: str) -> None:
    sent_by_another(owner, "1 hour")
    held_ids = [insert(owner), insert(owner, scheduled_at="tomorrow")]
    async with adopted(empty_database) as fleet:
        assert (await held(fleet))[1] == 2
        assert await adoption.cancel_some(fleet, actor="test", limit=10) == 2
    assert {status_of(owner, id_) for id_ in held_ids} == {"cancelled"}


async def test_what_somebody_has_locked_is_waited_for(owner: Owner, empty_database: str) -> None:
    old = due(owner, "2 days")
    async with adopted(empty_database) as fleet:
        with psycopg.connect(empty_database) as busy:
            busy.execute("SELECT FROM channel_outbox WHERE id = %s FOR UPDATE", (old,))
            cancelling = asyncio.create_task(adoption.cancel_some(fleet, actor="test", limit=10))
            async with asyncio.timeout(20):
                while owner.execute("SELECT FROM pg_locks WHERE NOT granted").fetchone() is None:
                    assert not cancelling.done()
                    await asyncio.sleep(0.01)
        assert await cancelling == 1
    assert status_of(owner, old) == "cancelled"


def command(database_url: str, *arguments: str) -> Result:
    environment = {"DATABASE_URL": database_url, "REDIS_URL": "redis://127.0.0.1:1"}
    return CliRunner().invoke(main, ["db", "adopt", *arguments], env=environment)


def test_a_person_ends_the_hold(owner: Owner, empty_database: str) -> None:
    due(owner, "2 days")
    migrate(empty_database, lambda _line: None)

    asked = command(empty_database)
    assert (asked.exit_code, asked.stdout) == (2, "")
    assert "Send 1 held messages? Add --yes" in asked.stderr

    done = command(empty_database, "--yes")
    assert done.exit_code == 0
    assert done.stderr.splitlines() == [
        "held: due more than 24 hours before the fleet adopted this database",
        "adopted; what was held goes out when it is due",
    ]
    again = command(empty_database, "--yes")
    assert (again.exit_code, again.stderr) == (4, "fleet: nothing is held\n")
    assert owner.execute("SELECT action FROM fleet.audit_log").fetchall() == [("adopt",)]


def test_a_person_cancels_what_is_held(owner: Owner, empty_database: str) -> None:
    old, recent = due(owner, "2 days"), insert(owner)
    migrate(empty_database, lambda _line: None)
    done = command(empty_database, "--cancel-held", "--yes")
    assert (done.exit_code, done.stderr.splitlines()[-1]) == (0, "adopted; 1 cancelled")
    assert [status_of(owner, id_) for id_ in (old, recent)] == ["cancelled", "scheduled"]


def test_there_is_nothing_to_adopt_before_the_migration(empty_database: str, servers: object) -> None:
    refused = command(empty_database, "--yes")
    assert refused.exit_code == 1
    assert "fleet db migrate" in refused.stderr
