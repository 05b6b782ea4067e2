"""What `plan` finds on an owner's database: each difference by its name, with what resolves it; and nothing changes."""

from collections.abc import Iterator

import psycopg
import pytest

from outbox.migrate import expected
from outbox.migrate.findings import find
from outbox.migrate.runner import Blocked, connected, migrate, plan
from outbox.migrate.verify import problems

from .fingerprints import dump
from .owners_database import fill, make
from .owners_obstacles import OBSTACLES, UNSERVED
from .owners_ways import WAYS
from .platform_tables import TABLES, Database, described_columns


@pytest.fixture
def database(empty_database: str) -> Iterator[Database]:
    """An owner's database as the description has it, with rows."""
    with psycopg.connect(empty_database, autocommit=True) as connection:
        make(connection)
        fill(connection, messages=20)
        yield connection


def blocked(database_url: str) -> Blocked:
    with pytest.raises(Blocked) as raised:
        migrate(database_url, lambda _line: None)
    return raised.value


def told(database: Database) -> list[tuple[str, str]]:
    return [(finding.kind, finding.subject) for finding in find(database)]


@pytest.mark.parametrize("way", OBSTACLES)
def test_what_blocks_is_named_and_its_statements_resolve_it(database: Database, empty_database: str, way: str) -> None:
    statements, subject = OBSTACLES[way]
    database.execute(statements.encode())
    before = dump(empty_database)

    findings = blocked(empty_database).findings

    assert [finding.subject for finding in findings] == [subject]
    assert dump(empty_database) == before, "a blocked migration changes nothing"
    for statement in findings[0].statements:
        database.execute(statement.encode())
    assert migrate(empty_database, lambda _line: None)
    assert problems(database) == []


@pytest.mark.parametrize("way", UNSERVED)
def test_what_cannot_be_served_is_named(database: Database, empty_database: str, way: str) -> None:
    statements, subject = UNSERVED[way]
    database.execute(statements.encode())
    before = dump(empty_database)
    assert subject in [finding.subject for finding in blocked(empty_database).findings]
    assert dump(empty_database) == before


def test_what_is_expected_is_what_the_description_says() -> None:
    described = {(table, name): kind for table, name, kind in described_columns()}
    long_names = {"timestamptz": "timestamp with time zone"}
    assert expected.COLUMNS.keys() == TABLES.keys()
    for table, columns in expected.COLUMNS.items():
        for name in columns.keys() - expected.ADDED.get(table, {}).keys():
            kind = described[table, name]
            assert long_names.get(kind, kind) in columns[name], (table, name)


def test_everything_that_blocks_is_told_at_once(database: Database, empty_database: str) -> None:
    for way in ("json payload", "short status", "attempts in json", "id without key", "restrictive policy"):
        database.execute(OBSTACLES[way].statements.encode())
    assert [finding.subject for finding in blocked(empty_database).findings] == [
        "channel_outbox.attempts",
        "channel_outbox.id",
        "channel_outbox.payload",
        "channel_outbox.status",
        "channel_outbox: only_mine",
    ]


def test_an_empty_database_and_the_description_have_nothing_to_resolve(database: Database, any_database: str) -> None:
    with connected(any_database) as empty:
        assert plan(empty).findings == []
    assert told(database) == [("note", "row level security")]


def test_what_hangs_on_a_column_is_named_with_it(database: Database) -> None:
    database.execute("ALTER TABLE channel_outbox ALTER payload TYPE json")
    database.execute("CREATE VIEW payloads AS SELECT payload FROM channel_outbox")
    (finding,) = [finding for finding in find(database) if finding.kind == "blocks"]
    assert "view public.payloads" in finding.resolution


def test_times_without_a_zone_are_taken_as_utc_whoever_converts_them(database: Database) -> None:
    database.execute("UPDATE channel_outbox SET scheduled_at = '2026-07-01T12:00:00Z'")
    database.execute(OBSTACLES["no time zone"].statements.encode())
    database.execute("SET timezone = 'America/New_York'")
    (finding,) = [finding for finding in find(database) if finding.kind == "blocks"]
    database.execute(finding.statements[0].encode())
    query = "SELECT DISTINCT scheduled_at AT TIME ZONE 'UTC' FROM channel_outbox"
    assert [str(moment) for (moment,) in database.execute(query).fetchall()] == ["2026-07-01 12:00:00"]


def test_of_rows_with_one_key_the_sent_one_keeps_it_and_no_other_goes_out(database: Database) -> None:
    database.execute(OBSTACLES["duplicate keys"].statements.encode())
    query = "SELECT status, count(*) FROM channel_outbox WHERE idempotency_key IN ('promise-1') GROUP BY status"
    before: dict[str, int] = dict(database.execute(query).fetchall())
    assert before == {"delivered": 1, "scheduled": 2}
    (finding,) = [finding for finding in find(database) if finding.kind == "blocks"]
    assert "'promise-1'" in finding.problem
    database.execute(finding.statements[0].encode())
    assert dict(database.execute(query).fetchall()) == {"delivered": 1}
    rest = "SELECT status FROM channel_outbox WHERE idempotency_key IS NULL AND payload ->> 'subject' IS NOT NULL"
    assert database.execute(rest).fetchall() == [("failed",), ("failed",)]


@pytest.mark.parametrize(
    ("way", "notes"),
    [
        ("triggers", {"channel_outbox: remember", "channel_outbox: set_updated_at", "channel_outbox.updated_at"}),
        ("publication", {"channel_outbox", "channel_outbox: realtime", "job_queue: realtime"}),
        ("extra columns", {"channel_outbox.error_message", "channel_outbox.updated_at"}),
        ("check over two columns", {"channel_outbox: channel_outbox_check"}),
    ],
)
def test_what_is_worth_knowing(database: Database, way: str, notes: set[str]) -> None:
    database.execute(WAYS[way].encode())
    assert {subject for kind, subject in told(database) if kind == "note"} - {"row level security"} == notes


def test_a_trigger_that_runs_with_the_fleets_rights_is_told_apart(database: Database) -> None:
    database.execute(WAYS["triggers"].encode())
    problems_of = {finding.subject: finding.problem for finding in find(database)}
    assert "rights of role fleet" in problems_of["channel_outbox: set_updated_at"]
    assert "rights of role fleet" not in problems_of["channel_outbox: remember"]


def test_the_owners_call_records_are_made_to_take_ours(database: Database, empty_database: str) -> None:
    database.execute("UPDATE voice_call_records SET status = 'completed', duration_seconds = 1")
    database.execute("ALTER TABLE voice_call_records ADD CONSTRAINT ends CHECK (status IN ('completed', 'busy'))")
    database.execute("ALTER TABLE voice_call_records ALTER duration_seconds SET NOT NULL, ADD CHECK (sentiment <> '')")
    assert set(told(database)) == {
        ("note", "row level security"),
        ("note", "voice_call_records: voice_call_records_sentiment_check"),
        ("resolved", "voice_call_records.duration_seconds"),
        ("resolved", "voice_call_records.status"),
    }
    migrate(empty_database, lambda _line: None)
    for end in ("busy", "no_answer"):
        database.execute("INSERT INTO voice_call_records (status, duration_seconds) VALUES (%s, NULL)", (end,))


def test_what_is_widened_keeps_its_own_words(database: Database, empty_database: str) -> None:
    database.execute(
        "ALTER TABLE channel_outbox ADD CHECK (status IN ('scheduled', 'sent', 'delivered', 'failed', 'draft'))"
    )
    migrate(empty_database, lambda _line: None)
    for word in ("draft", "suppressed"):
        database.execute("INSERT INTO channel_outbox (status) VALUES (%s)", (word,))
    with pytest.raises(psycopg.errors.CheckViolation):
        database.execute("INSERT INTO channel_outbox (status) VALUES ('nonsense')")


def test_nothing_that_others_made_is_called(database: Database, empty_database: str) -> None:
    """A function in public that fits a call better than the system's own is not run by whoever migrates."""
    database.execute("CREATE TABLE trapped (who text)")
    database.execute(
        "CREATE FUNCTION pg_has_role(name, text, text) RETURNS boolean LANGUAGE plpgsql "
        "AS $$ BEGIN INSERT INTO public.trapped VALUES (current_user); RETURN true; END $$"
    )
    migrate(empty_database, lambda _line: None)
    assert database.execute("SELECT * FROM trapped").fetchall() == []
