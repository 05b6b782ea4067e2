"""Runs the migrations: one at a time in the whole database, one statement at a time.

Owns `fleet.schema_migrations` and the lease that keeps a second run out. Refuses to begin while a finding blocks, so
that a database is either migrated or as it was.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from psycopg.errors import DuplicateObject, DuplicateTable, UniqueViolation

from outbox.migrate import files
from outbox.migrate.execute import execute
from outbox.migrate.finding import Database, Finding
from outbox.migrate.findings import find
from outbox.migrate.lease import Lease, held

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
_RECORDS = "SELECT FROM pg_class WHERE relnamespace = to_regnamespace('fleet') AND relname = 'schema_migrations'"
_RECORD = "INSERT INTO fleet.schema_migrations (name, checksum) VALUES (%s, %s)"
# An index build takes as long as it takes, and cannot set its own limits as other statements do.
_NO_LIMITS = (
    "SELECT set_config(name, '0', false) FROM pg_settings "
    "WHERE name IN ('statement_timeout', 'lock_timeout', 'transaction_timeout')"
)

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

    @property
    def blocking(self) -> list[Finding]:
        """What a person must resolve first."""
        return [finding for finding in self.findings if finding.kind == "blocks"]

    @property
    def changes_nothing(self) -> bool:
        """Is the database up to date?"""
        return not self.pending and all(finding.kind != "resolved" for finding in self.findings)


@contextmanager
def connected(database_url: str, *, pooled: bool = False) -> Iterator[Database]:
    """Connect for a migration, as whoever the URL names; every statement commits by itself.

    `pooled`: through a transaction-mode pooler, whose sessions are not ours to set up.
    """
    with psycopg.connect(
        database_url, autocommit=True, prepare_threshold=None, application_name="fleet db"
    ) as database:
        if not pooled:
            database.execute(_NO_LIMITS)
        yield database


def plan(database: Database) -> Plan:
    """Compare and list; changes nothing. Raises Changed."""
    applied = _applied(database)
    pending = [migration.name for migration in files.load() if migration.name not in applied]
    return Plan(find(database, migrating=bool(pending)), pending)


def migrate(database_url: str, say: Say, *, pooled: bool = False) -> list[str]:
    """Bring the database up to date; return the names of the files that ran. Raises Blocked, Changed, lease.Busy."""
    with connected(database_url, pooled=pooled) as database:
        planned = plan(database)
        if planned.blocking:
            raise Blocked(planned.blocking)
        if planned.changes_nothing:
            return []
        _prepare(database)
        with held(database_url) as lease:
            _resolve(database, say)
            ran = _run_files(database, lease, say)
            _resolve(database, say)  # columns that a file has added may want what those that were there had
            return ran


def _applied(database: Database) -> set[str]:
    if database.execute(_RECORDS).fetchone() is None:
        return set()
    recorded: dict[str, str] = dict(database.execute("SELECT name, checksum FROM fleet.schema_migrations").fetchall())
    changed = [one.name for one in files.load() if recorded.get(one.name, one.checksum) != one.checksum]
    if changed:
        raise Changed(f"{', '.join(changed)}: the file was changed after it ran here; write a new migration instead")
    return set(recorded)


def _prepare(database: Database) -> None:
    for statement in _BOOTSTRAP:
        try:
            execute(database, statement)
        except (UniqueViolation, DuplicateObject, DuplicateTable):  # another first run made it in the same moment
            execute(database, statement)


def _resolve(database: Database, say: Say) -> None:
    done: set[str] = set()
    for finding in find(database, migrating=False):
        if finding.kind == "resolved":
            say(f"{finding.subject}: {finding.problem}; {finding.resolution}")
            for statement in finding.statements:
                if statement not in done:  # two columns may share an enum
                    execute(database, statement)
                    done.add(statement)


def _run_files(database: Database, lease: Lease, say: Say) -> list[str]:
    applied = _applied(database)  # once more, under the lease: another run may have just ended
    ran = []
    for migration in files.load():
        if migration.name not in applied:
            lease.check()
            say(migration.name)
            for statement in migration.statements:
                execute(database, statement)
            database.execute(_RECORD, (migration.name, migration.checksum))
            ran.append(migration.name)
    return ran
