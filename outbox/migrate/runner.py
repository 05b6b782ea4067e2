"""Runs the migrations: one at a time in the whole database, one statement at a time, short in its locks.

Owns `fleet.schema_migrations` and the lease that keeps a second run out. Refuses to begin while a finding blocks, so
that a database is either migrated or as it was.
"""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from psycopg.errors import DeadlockDetected, LockNotAvailable, UniqueViolation

from outbox.migrate import files
from outbox.migrate.findings import Database, Finding, find
from outbox.migrate.lease import held
from outbox.queries import load

LOCK_TIMEOUT_MILLISECONDS = 300
"""A statement that waits for a lock makes every later writer wait behind it: it gives up and tries again."""
LOCK_PATIENCE_SECONDS = 600.0
_PAUSE_SECONDS = 0.5
_CONCURRENTLY = re.compile(r"\bINDEX\s+CONCURRENTLY\s+IF\s+NOT\s+EXISTS\s+(\w+)", re.IGNORECASE)
_MAKES = re.compile(
    r"CREATE (?:OR REPLACE |UNLOGGED |UNIQUE )*(TABLE|INDEX|FUNCTION|TRIGGER)"
    r"(?: CONCURRENTLY)?(?: IF NOT EXISTS)? ([\w.]+)"
)
_INSPECT = load("inspect")
_BOOTSTRAP = (
    "CREATE SCHEMA IF NOT EXISTS fleet",
    """
    CREATE TABLE IF NOT EXISTS fleet.schema_migrations (
        name text PRIMARY KEY, checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now()
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS fleet.migration_lease (
        only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
        holder text NOT NULL,
        expires_at timestamptz NOT NULL
    )
    """,
)
_RECORD = "INSERT INTO fleet.schema_migrations (name, checksum) VALUES (%s, %s)"

Say = Callable[[str], None]


class Blocked(Exception):
    """The database differs in a way that a person must resolve first; `findings` has all of them."""

    def __init__(self, findings: list[Finding]) -> None:
        self.findings = findings
        super().__init__(f"{len(findings)} differences block the migration")


class Changed(Exception):
    """A migration file that already ran reads differently now. Migrations are forward only: write a new one."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What `migrate` would do: the differences found, and the names of the files still to run."""

    findings: list[Finding]
    pending: list[str]


@contextmanager
def connected(database_url: str) -> Iterator[Database]:
    """Connect for a migration, as whoever the URL names; every statement commits by itself."""
    with psycopg.connect(
        database_url, autocommit=True, prepare_threshold=None, application_name="fleet db"
    ) as database:
        yield database


def plan(database: Database) -> Plan:
    """Compare and list; changes nothing. Raises Changed."""
    applied = _applied(database)
    return Plan(find(database), [migration.name for migration in files.load() if migration.name not in applied])


def migrate(database_url: str, say: Say) -> list[str]:
    """Bring the database up to date; return the names of the files that ran. Raises Blocked, Changed, lease.Busy."""
    with connected(database_url) as database:
        planned = plan(database)
        blocking = [finding for finding in planned.findings if finding.kind == "blocks"]
        if blocking:
            raise Blocked(blocking)
        if not planned.pending and not any(finding.statements for finding in planned.findings):
            return []
        _prepare(database)
        with held(database_url):
            return _run_all(database, say)


def problems(database: Database) -> list[str]:
    """Return what keeps the fleet from working on this database, one sentence each; empty when all is well."""
    planned = plan(database)
    found = [f"{name} has not run: fleet db migrate" for name in planned.pending]
    found += [f"{finding.subject} {finding.problem}" for finding in planned.findings if finding.kind != "note"]
    found += [f"{subject}: {detail}" for subject, detail in database.execute(_INSPECT["broken"]).fetchall()]
    if not planned.pending:
        made = list(_made())
        names, kinds = [name for _, name in made], [kind for kind, _ in made]
        missing = database.execute(_INSPECT["missing"], {"names": names, "kinds": kinds}).fetchall()
        found += [f"{name} is gone: restore it from its migration" for (name,) in missing]
    return found


def _made() -> Iterator[tuple[str, str]]:
    """Read off the fleet's files what they make: (kind, name)."""
    for migration in files.load():
        if migration.name.startswith("fleet/"):
            for statement in migration.statements:
                yield from _MAKES.findall(statement)


def _applied(database: Database) -> set[str]:
    row = database.execute("SELECT to_regclass('fleet.schema_migrations') IS NOT NULL").fetchone()
    if not row or not row[0]:
        return set()
    recorded: dict[str, str] = dict(database.execute("SELECT name, checksum FROM fleet.schema_migrations").fetchall())
    changed = [one.name for one in files.load() if recorded.get(one.name, one.checksum) != one.checksum]
    if changed:
        raise Changed(f"{', '.join(changed)}: the file was changed after it ran here; write a new migration instead")
    return set(recorded)


def _prepare(database: Database) -> None:
    for statement in _BOOTSTRAP:
        try:
            _run(database, statement)
        except UniqueViolation:  # another first run made it in the same moment
            _run(database, statement)


def _run_all(database: Database, say: Say) -> list[str]:
    applied = _applied(database)  # once more, under the lease: another run may have just ended
    for finding in find(database):
        for statement in finding.statements:
            say(f"{finding.subject}: {finding.problem}; {finding.resolution}")
            _run(database, statement)
    ran = []
    for migration in files.load():
        if migration.name not in applied:
            say(migration.name)
            for statement in migration.statements:
                _run(database, statement)
            database.execute(_RECORD, (migration.name, migration.checksum))
            ran.append(migration.name)
    return ran


def _run(database: Database, statement: str) -> None:
    """Run one statement; wait for its lock in short tries, so that writers pass between them."""
    give_up_at = time.monotonic() + LOCK_PATIENCE_SECONDS
    while True:
        try:
            return _run_once(database, statement)
        except (LockNotAvailable, DeadlockDetected):
            if time.monotonic() > give_up_at:
                raise
            time.sleep(_PAUSE_SECONDS)


def _run_once(database: Database, statement: str) -> None:
    concurrent = _CONCURRENTLY.search(statement)
    if concurrent:
        _drop_invalid(database, concurrent.group(1))
        database.execute(statement.encode())
        return
    with database.transaction():
        database.execute(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MILLISECONDS}".encode())
        database.execute("SET LOCAL statement_timeout = 0")
        database.execute(statement.encode())


def _drop_invalid(database: Database, index: str) -> None:
    """A build that was killed leaves an index that costs every write and serves no read."""
    row = database.execute(
        "SELECT NOT indisvalid FROM pg_index WHERE indexrelid = to_regclass('public.' || %s)", (index,)
    ).fetchone()
    if row and row[0]:
        database.execute(f"DROP INDEX CONCURRENTLY IF EXISTS public.{index}".encode())
