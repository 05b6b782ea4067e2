"""Migrations that are killed, or begun twice: whoever runs it again comes to the same end."""

import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import psycopg
import pytest

from outbox.migrate import lease
from outbox.migrate.lease import Busy, Lease, held
from outbox.migrate.runner import connected, migrate
from outbox.migrate.verify import problems
from tests.conftest import ROOT, Servers

from . import other_servers
from .fingerprints import columns_of, dump, rows_of
from .owners_database import fill, make
from .owners_ways import WAYS

PATIENCE_SECONDS = 60.0
KILLS = 10
_MIGRATE = """
import sys
from outbox.migrate.lease import Busy
from outbox.migrate.runner import migrate
try:
    migrate(sys.argv[1], lambda line: print(line, flush=True))
except Busy:
    print("busy")
"""


@pytest.fixture
def another_database(servers: Servers) -> Iterator[str]:
    with other_servers.database(servers.database_url) as url:
        yield url


def process(database_url: str) -> "subprocess.Popen[str]":
    """Migrate in a process of its own; it says each step on a line."""
    command = [sys.executable, "-c", _MIGRATE, database_url]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def prepare(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as database:
        make(database)
        fill(database, messages=3_000)
        for way in ("one enum for both queues", "check over two columns", "no unique key", "index names taken"):
            database.execute(WAYS[way].encode())


def let_the_lease_run_out(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as database:
        if database.execute("SELECT to_regclass('fleet.migration_lease') IS NOT NULL").fetchone() == (True,):
            database.execute("UPDATE fleet.migration_lease SET expires_at = now() - interval '1 second'")


def killed(database_url: str, chance: random.Random) -> bool:
    """Kill a migration at some moment of some step; False: it had ended before."""
    running = process(database_url)
    assert running.stdout is not None
    said = [running.stdout.readline() for _ in range(chance.randint(1, 2))]
    with suppress(subprocess.TimeoutExpired):
        running.wait(chance.uniform(0, 0.02))
    running.kill()
    running.communicate(timeout=PATIENCE_SECONDS)
    let_the_lease_run_out(database_url)
    return all(said)


def test_a_migration_that_is_killed_again_and_again_ends_the_same(empty_database: str, another_database: str) -> None:
    for url in (empty_database, another_database):
        prepare(url)
    with connected(empty_database) as database:
        columns = columns_of(database)
        before = rows_of(database, columns)
    chance = random.Random(7)
    at_work = [killed(empty_database, chance) for _ in range(KILLS)]
    assert at_work.count(True) >= KILLS / 2

    migrate(empty_database, lambda _line: None)
    migrate(another_database, lambda _line: None)

    assert dump(empty_database, "--schema-only") == dump(another_database, "--schema-only")
    with connected(empty_database) as database:
        assert rows_of(database, columns) == before
        assert problems(database) == []


@pytest.mark.parametrize("owners", [True, False], ids=["owner's", "empty"])
def test_two_at_once_leave_one_result(empty_database: str, owners: bool) -> None:
    if owners:
        prepare(empty_database)
    both = [process(empty_database) for _ in range(2)]
    ends = [running.communicate(timeout=PATIENCE_SECONDS) for running in both]
    assert [running.returncode for running in both] == [0, 0], ends
    assert sum("fleet/" in said for said, _ in ends) >= 1, ends
    with connected(empty_database) as database:
        assert problems(database) == []


def test_a_second_migration_is_told_who_is_at_it(database_url: str) -> None:
    def begin() -> None:
        with held(database_url):
            pass

    with ThreadPoolExecutor() as elsewhere:
        with held(database_url) as first, pytest.raises(Busy, match=first.holder):
            elsewhere.submit(begin).result()
        elsewhere.submit(begin).result()


def test_who_lost_the_lease_goes_no_further(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "LEASE_SECONDS", 0.04)
    with connected(database_url) as database:
        mine = Lease(database)
        assert mine.take()
        mine.check()
        database.execute("UPDATE fleet.migration_lease SET holder = 'another', expires_at = now() + interval '1 hour'")
        mine.keep(threading.Event())
        with pytest.raises(Busy, match="lost"):
            mine.check()


def test_an_index_whose_build_was_broken_off_is_built_again(empty_database: str) -> None:
    prepare(empty_database)
    with connected(empty_database) as database:
        with pytest.raises(psycopg.errors.UniqueViolation):
            database.execute("CREATE UNIQUE INDEX CONCURRENTLY fleet_outbox_created ON channel_outbox (channel)")
        migrate(empty_database, lambda _line: None)
        query = "SELECT pg_get_indexdef(indexrelid), indisvalid FROM pg_index WHERE indexrelid::regclass::text = %s"
        definition, valid = database.execute(query, ("fleet_outbox_created",)).fetchone() or ("", False)
        assert valid
        assert "created_at" in definition
        assert "UNIQUE" not in definition


def test_a_broken_index_of_a_migrated_database_is_found_and_built_again(database_url: str) -> None:
    with connected(database_url) as database:
        database.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'fleet_outbox_due'::regclass")
        assert any("fleet_outbox_due" in problem for problem in problems(database))
        assert migrate(database_url, lambda _line: None) == []
        assert problems(database) == []


@pytest.mark.parametrize(
    ("harm", "named"),
    [
        ("DROP INDEX fleet_outbox_due", "fleet_outbox_due"),
        ("DROP TRIGGER fleet_guard ON channel_outbox", "fleet_guard"),
        ("ALTER TABLE channel_outbox DISABLE TRIGGER fleet_guard", "fleet_guard"),
        ("DROP TABLE fleet.suppressions", "fleet.suppressions"),
        ("DELETE FROM fleet.schema_migrations WHERE name LIKE 'fleet/%columns'", "columns has not run"),
        ("ALTER TABLE channel_outbox ADD CHECK (status <> 'unknown')", "refuses unknown"),
    ],
)
def test_what_was_taken_away_since_is_named(database_url: str, harm: str, named: str) -> None:
    with connected(database_url) as database:
        assert problems(database) == []
        database.execute(harm.encode())
        assert any(named in problem for problem in problems(database))
