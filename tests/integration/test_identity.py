"""A restored or copied database sends nothing until a person says that it is the one."""

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import psycopg
import pytest
from click.testing import CliRunner
from psycopg import sql

from config.database import Pool, pool
from config.settings import load
from console.cli import main
from outbox import adoption, identity
from outbox.batches import claim_replays
from outbox.readiness import NOT_OURS, NotReady, check
from tests.conftest import ROOT, Servers
from tests.factories import insert, pause, status_of
from tests.started import claimed, start


@pytest.fixture
def copy_url(servers: Servers, database_url: str) -> Iterator[str]:
    """A copy of the test's database, made from all that it holds when it is asked for."""
    name = f"copy_{uuid4().hex[:12]}"
    original = database_url.partition("?")[0].rpartition("/")[2]
    with psycopg.connect(database_url, autocommit=True) as owner:
        insert(owner)
    with psycopg.connect(servers.database_url, autocommit=True) as server:
        server.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(*map(sql.Identifier, (name, original))))
        yield servers.named(name)
        server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
async def copy(copy_url: str) -> AsyncIterator[Pool]:
    opened = pool(load({}), copy_url, size=2, process="test")
    await opened.open()
    yield opened
    await opened.close()


async def test_a_copy_sends_nothing_and_the_original_goes_on(copy: Pool, copy_url: str, ledger: Pool) -> None:
    assert not await identity.is_recognised(copy)
    assert (await claimed(copy))[1] == []
    await check(load({}), copy_url)  # it may be read and corrected
    with pytest.raises(NotReady, match="fleet db restored"):
        await check(load({}), copy_url, sending=True)

    assert await identity.is_recognised(ledger)
    assert len((await claimed(ledger))[1]) == 1


async def test_no_replay_leaves_a_copy(copy: Pool, copy_url: str) -> None:
    await identity.restored(copy, actor="ada", hold=False)
    await start(copy)
    with psycopg.connect(copy_url, autocommit=True) as owner:
        owner.execute("UPDATE fleet.batches SET tainted = true, lease_token = NULL, lease_expires_at = now()")
        owner.execute("UPDATE fleet.identity SET database_oid = 1")
        assert await claim_replays(copy, uuid4(), lease_seconds=60, limit=10) == []
        await identity.restored(copy, actor="ada", hold=False)
        assert len(await claim_replays(copy, uuid4(), lease_seconds=60, limit=10)) == 1


async def test_once_said_what_was_due_waits_for_a_person_and_what_comes_goes_out(copy: Pool, copy_url: str) -> None:
    with psycopg.connect(copy_url, autocommit=True) as owner:
        await identity.restored(copy, actor="ada", hold=True)
        held = await adoption.held(copy, limit=10)
        assert held == (identity.REASON, 1)
        new = insert(owner)
        assert (await claimed(copy))[1] == [str(new)]
        await adoption.release(copy, actor="ada")
        assert len((await claimed(copy))[1]) == 1
        noted = owner.execute("SELECT actor, action FROM fleet.audit_log ORDER BY id").fetchall()
        assert noted[0] == ("ada", "restored")


def test_cancelling_what_is_held_cancels_it_under_every_hold(copy_url: str, redis_url: str) -> None:
    """The first hold's messages are gone before the second's: none of those may go out."""
    told = CliRunner(env={"DATABASE_URL": copy_url, "REDIS_URL": redis_url})
    with psycopg.connect(copy_url, autocommit=True) as owner:
        pause(owner, "everything", kind="adoption", due_before="2020-01-01", reason="adopted")
        assert told.invoke(main, ["db", "restored", "--yes"]).exit_code == 0
        ended = told.invoke(main, ["db", "adopt", "--cancel-held", "--yes"])
        assert (ended.exit_code, f"held: adopted; {identity.REASON}" in ended.stderr) == (0, True)
        assert owner.execute("SELECT status FROM channel_outbox").fetchall() == [("cancelled",)]
        assert owner.execute("SELECT count(*) FROM fleet.pauses WHERE until IS NULL").fetchone() == (0,)


def test_a_database_that_was_moved_at_rest_holds_nothing_back(copy_url: str, redis_url: str) -> None:
    told = CliRunner(env={"DATABASE_URL": copy_url, "REDIS_URL": redis_url})
    assert told.invoke(main, ["db", "restored", "--nothing-was-lost", "--yes"]).exit_code == 0
    with psycopg.connect(copy_url, autocommit=True) as owner:
        assert owner.execute("SELECT count(*) FROM fleet.pauses").fetchone() == (0,)
    assert told.invoke(main, ["db", "adopt", "--yes"]).exit_code == 4


def test_by_the_command(copy_url: str, redis_url: str) -> None:
    env = {"DATABASE_URL": copy_url, "REDIS_URL": redis_url}
    told = CliRunner(env=env)
    assert not json.loads(told.invoke(main, ["status"]).stdout)["is_recognised"]
    for module in (["scheduler"], ["workers.child", "1", str(os.getpid()), "email"]):
        process = subprocess.run(
            [sys.executable, "-m", *module],
            env={**os.environ, **env, "PYTHONPATH": str(ROOT)},
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert process.returncode != 0
        assert NOT_OURS in process.stderr + process.stdout
    assert told.invoke(main, ["db", "restored"]).exit_code == 2, "nobody can be asked"
    assert told.invoke(main, ["db", "restored", "--yes"]).exit_code == 0
    assert json.loads(told.invoke(main, ["status"]).stdout)["is_recognised"]
    with psycopg.connect(copy_url, autocommit=True) as owner:
        (waiting,) = owner.execute("SELECT id FROM channel_outbox").fetchone() or (None,)
        assert status_of(owner, waiting) == "scheduled"
    assert told.invoke(main, ["db", "adopt", "--yes"]).exit_code == 0
