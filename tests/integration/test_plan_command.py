"""`fleet db plan|migrate|status|verify`: what they say, and the exit codes."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from click.testing import CliRunner, Result

from console.cli import main
from outbox.migrate import files
from outbox.migrate.lease import held

from .fingerprints import dump
from .owners_database import fill, make
from .owners_obstacles import OBSTACLES

Command = Callable[..., Result]
FILES = [migration.name for migration in files.load()]
VIEWS = "platform/20260101001000_analytics_views"


@pytest.fixture
def db(empty_database: str) -> Command:
    """Runs `fleet db`; Redis is not there, and has no part in it."""

    def run(*arguments: str, **environment: str) -> Result:
        return CliRunner().invoke(main, ["db", *arguments], env={"DATABASE_URL": empty_database, **environment})

    return run


def test_on_an_empty_database(db: Command) -> None:
    planned = db("plan")
    assert (planned.exit_code, planned.stdout.split()) == (0, " ".join(f"to run {name}" for name in FILES).split())
    assert db("status").exit_code == db("verify").exit_code == 3
    ran = db("migrate")
    assert (ran.exit_code, ran.stderr.splitlines()) == (0, [*FILES, f"{len(FILES)} migrations ran"])
    assert db("migrate").stderr == "up to date\n"
    assert db("plan").stderr == "nothing to run\n"
    assert db("status").stdout.splitlines() == [f"applied  {name}" for name in FILES]
    verified = db("verify")
    assert (verified.exit_code, verified.stderr) == (0, "all is well\n")


def test_what_blocks_is_shown_with_statements_to_copy(db: Command, empty_database: str) -> None:
    with psycopg.connect(empty_database, autocommit=True) as database:
        make(database)
        fill(database, messages=20)
        database.execute(OBSTACLES["json payload"].statements.encode())
        database.execute(OBSTACLES["duplicate keys"].statements.encode())
        before = dump(empty_database)
        refused = db("migrate")
        assert (refused.exit_code, dump(empty_database)) == (1, before)
        assert refused.stderr == "fleet: nothing was changed; resolve what blocks and run it again\n"
        assert "BLOCKS" in refused.stdout
        planned = db("plan")
        assert planned.exit_code == 1
        copied = refused.stdout[refused.stdout.index("\n-- ") :]
        assert copied in planned.stdout
        database.execute(copied.encode())
    assert db("migrate").exit_code == 0


def test_a_direct_address_is_taken_where_there_is_one(db: Command, empty_database: str) -> None:
    nowhere = "postgresql://postgres@/nowhere?host=/nowhere"
    assert db("migrate", DATABASE_URL=nowhere, DATABASE_LISTEN_URL=empty_database).exit_code == 0
    assert db("verify", DATABASE_POOLER="transaction").exit_code == 0
    assert db("verify", DATABASE_URL=nowhere).exit_code == 1


def test_a_changed_file_is_refused(db: Command, empty_database: str) -> None:
    assert db("migrate").exit_code == 0
    with psycopg.connect(empty_database, autocommit=True) as database:
        database.execute("UPDATE fleet.schema_migrations SET checksum = 'other' WHERE name LIKE '%guard'")
    for command in ("plan", "migrate", "status", "verify"):
        refused = db(command)
        assert (refused.exit_code, "changed after it ran" in refused.stderr) == (1, True), command


def test_a_second_migration_is_refused(db: Command, empty_database: str) -> None:
    assert db("migrate").exit_code == 0
    with psycopg.connect(empty_database, autocommit=True) as database:
        database.execute("DELETE FROM fleet.schema_migrations WHERE name LIKE '%views'")
    with held(empty_database), ThreadPoolExecutor() as elsewhere:
        refused = elsewhere.submit(db, "migrate").result()
    assert (refused.exit_code, "is migrating" in refused.stderr) == (1, True)


def test_a_statement_that_fails_is_named_and_what_ran_is_kept(db: Command, empty_database: str) -> None:
    with psycopg.connect(empty_database, autocommit=True) as database:
        database.execute(
            "CREATE FUNCTION refuse() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no views today'; END $$"
        )
        database.execute(
            "CREATE EVENT TRIGGER refuse ON ddl_command_start WHEN TAG IN ('CREATE VIEW') EXECUTE FUNCTION refuse()"
        )
        refused = db("migrate")
        assert refused.exit_code == 1
        assert "no views today; what had run is kept, run it again when this is mended" in refused.stderr
        database.execute("DROP EVENT TRIGGER refuse")
    assert db("migrate").stderr.splitlines()[-1] == f"{len(FILES) - FILES.index(VIEWS)} migrations ran"
    assert db("verify").exit_code == 0
