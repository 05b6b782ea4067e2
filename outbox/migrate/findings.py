"""Compares a live database with what the fleet expects, before anything is changed.

Owns the judgement; changes nothing. A finding either says how `migrate` resolves it, or blocks the migration until a
person has, or is worth knowing.
"""

from dataclasses import dataclass
from typing import Any, Literal

from psycopg import Connection

from outbox.migrate import expected
from outbox.queries import load

_SQL = load("inspect")
_DUPLICATES_SHOWN = 100
Database = Connection[tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Finding:
    """One difference. `resolution` says what to do, or what `migrate` does."""

    kind: Literal["blocks", "resolved", "note"]
    subject: str
    """`table.column`, or the object's name."""
    problem: str
    resolution: str
    statements: tuple[str, ...] = ()
    """What `migrate` runs first, each by itself, where it resolves the finding."""


def find(database: Database) -> list[Finding]:
    """Return every difference that matters, those that block first."""
    columns = _columns(database)
    found = [
        *_wrong_types(columns),
        *_narrow_enums(database, columns),
        *_narrow_checks(database, columns),
        *_keys(database, columns),
        *_surroundings(database),
    ]
    order = ("blocks", "resolved", "note")
    return sorted(found, key=lambda finding: (order.index(finding.kind), finding.subject))


@dataclass(frozen=True, slots=True)
class _Column:
    table: str
    name: str
    type: str
    enum: str | None
    owns_enum: bool
    labels: tuple[str, ...]


def _columns(database: Database) -> dict[tuple[str, str], _Column]:
    rows = database.execute(_SQL["columns"], {"tables": list(expected.COLUMNS)}).fetchall()
    return {
        (table, name): _Column(table, name, kind, enum, owns_enum, tuple(labels or ()))
        for table, name, kind, enum, owns_enum, labels in rows
    }


def _wrong_types(columns: dict[tuple[str, str], _Column]) -> list[Finding]:
    found = []
    for (table, name), column in columns.items():
        wanted = expected.COLUMNS[table].get(name)
        if wanted is None or column.type in wanted or (column.enum and wanted == expected.TEXT):
            continue
        change = f"ALTER TABLE public.{table} ALTER COLUMN {name} TYPE {wanted[0]} USING {name}::{wanted[0]};"
        found.append(Finding("blocks", f"{table}.{name}", f"is {column.type}, the fleet needs {wanted[0]}", change))
    return found


def _narrow_enums(database: Database, columns: dict[tuple[str, str], _Column]) -> list[Finding]:
    """An enum takes our words as new labels, and text by an assignment cast, because answers are written as text."""
    found = []
    castable = {row[0] for row in database.execute(_SQL["castable_enums"]).fetchall()}
    for (table, name), column in columns.items():
        if not column.enum:
            continue
        missing = [word for word in expected.VOCABULARIES.get((table, name), ()) if word not in column.labels]
        statements = [f"ALTER TYPE {column.enum} ADD VALUE IF NOT EXISTS '{word}'" for word in missing]
        if column.enum not in castable:
            statements.append(f"CREATE CAST (text AS {column.enum}) WITH INOUT AS ASSIGNMENT")
        if not statements:
            continue
        problem = f"is the enum {column.enum}" + (f" without {', '.join(missing)}" if missing else "")
        if column.owns_enum:
            found.append(
                Finding("resolved", f"{table}.{name}", problem, "; ".join(statements) + ";", tuple(statements))
            )
        else:
            found.append(
                Finding(
                    "blocks", f"{table}.{name}", problem, "as the owner of the type: " + "; ".join(statements) + ";"
                )
            )
    return found


def _narrow_checks(database: Database, columns: dict[tuple[str, str], _Column]) -> list[Finding]:
    """A CHECK on one column is widened by our words; its own words and its name stay."""
    found = []
    for (table, name), words in expected.VOCABULARIES.items():
        if (table, name) not in columns:
            continue
        checks = database.execute(_SQL["checks_of_column"], {"table": table, "column": name}).fetchall()
        for constraint, expression, validated in checks:
            missing = [word for word in words if not _admits(database, table, name, expression, word)]
            if missing:
                found.append(_widened(f"{table}.{name}", constraint, expression, validated=validated, missing=missing))
    return found


def _admits(database: Database, table: str, column: str, expression: str, word: str) -> bool:
    """Ask the database itself whether the CHECK holds for a row with nothing but this word in it."""
    query = (
        f"SELECT {expression} IS NOT FALSE "
        f"FROM jsonb_populate_record(NULL::public.{table}, jsonb_build_object(%s::text, %s::text)) AS {table}"
    )
    row = database.execute(query.encode(), (column, word)).fetchone()
    return bool(row and row[0])


def _widened(subject: str, constraint: str, expression: str, *, validated: bool, missing: list[str]) -> Finding:
    table, column = subject.split(".")
    words = ", ".join(f"'{word}'" for word in missing)
    widen = (
        f'ALTER TABLE public.{table} DROP CONSTRAINT "{constraint}", '
        f'ADD CONSTRAINT "{constraint}" CHECK ({expression} OR {column} IN ({words})) NOT VALID'
    )
    validate = f'ALTER TABLE public.{table} VALIDATE CONSTRAINT "{constraint}"'
    problem = f"the CHECK {constraint} refuses {', '.join(missing)}"
    resolution = "the CHECK is widened by these words; its own stay"
    return Finding("resolved", subject, problem, resolution, (widen, validate) if validated else (widen,))


def _keys(database: Database, columns: dict[tuple[str, str], _Column]) -> list[Finding]:
    if ("channel_outbox", "id") not in columns:
        return []
    found = []
    unique = {row[0] for row in database.execute(_SQL["unique_columns"], {"table": "channel_outbox"}).fetchall()}
    if "id" not in unique:
        mend = "ALTER TABLE public.channel_outbox ADD PRIMARY KEY (id);"
        problem = "is not unique: a message could not be told from another"
        found.append(Finding("blocks", "channel_outbox.id", problem, mend))
    if ("channel_outbox", "idempotency_key") in columns and "idempotency_key" not in unique:
        found.append(_unguarded_key(database))
    return found


def _unguarded_key(database: Database) -> Finding:
    subject = "channel_outbox.idempotency_key"
    twice = [row[0] for row in database.execute(_SQL["duplicate_keys"]).fetchall()]
    if twice:
        count = f"{len(twice)}{'+' if len(twice) == _DUPLICATES_SHOWN else ''}"
        problem = f"has no unique index and {count} keys stand twice, such as {', '.join(map(repr, twice[:3]))}"
        return Finding(
            "blocks", subject, problem, "decide which row of each key stays; set the key of the others to NULL"
        )
    build = (
        "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS fleet_outbox_idempotency_key "
        "ON public.channel_outbox (idempotency_key)"
    )
    return Finding("resolved", subject, "has no unique index", build + ";", (build,))


def _surroundings(database: Database) -> list[Finding]:
    """What works on the two queues beside us: each transition of a message sets it off."""
    found = []
    for table, kind, name in database.execute(_SQL["surroundings"]).fetchall():
        problem, advice = _SURROUNDINGS[kind]
        found.append(Finding("note", f"{table}: {name}", problem, advice))
    return found


_SURROUNDINGS = {
    "trigger": ("a trigger of the platform runs on every transition", "make sure that it is cheap and sends nothing"),
    "publication": ("each transition is published", "publish only the columns that are needed, or a row filter"),
    "replica identity": ("REPLICA IDENTITY FULL doubles what each transition writes", "USING INDEX on the primary key"),
    "check": ("a CHECK over several columns", "make sure that it admits the statuses of the fleet"),
}
