"""The words that the fleet writes into status and channel: do the column's enum, CHECKs and domain admit them?

Owns that judgement. A CHECK is not read but asked: the database itself says whether it holds for a row with the word
in it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import psycopg

from outbox.migrate import expected
from outbox.migrate.columns import Column, Columns
from outbox.migrate.finding import Database, Finding
from outbox.queries import load

_SQL = load("inspect")


def find(database: Database, columns: Columns) -> list[Finding]:
    """Return what refuses our words."""
    castable = {name for (name,) in database.execute(_SQL["castable_enums"]).fetchall()}
    found = [finding for column in columns.values() if (finding := _enum(column, castable))]
    for (table, name), words in expected.VOCABULARIES.items():
        if column := columns.get((table, name)):
            found += _domain(database, column, words) if column.domain else []
            found += _checks(database, column, words)
    return found


def _enum(column: Column, castable: set[str]) -> Finding | None:
    """An enum takes our words as new labels, and text by an assignment cast, because statuses are written as text."""
    words = expected.VOCABULARIES.get((column.table, column.name), ())
    if not column.enum or not words:
        return None
    missing = [word for word in words if word not in column.labels]
    statements = [f"ALTER TYPE {column.enum} ADD VALUE IF NOT EXISTS '{word}'" for word in missing]
    if column.name in expected.WRITTEN[column.table] and column.enum not in castable:
        statements.append(f"CREATE CAST (text AS {column.enum}) WITH INOUT AS ASSIGNMENT")
    if not statements:
        return None
    problem = f"is the enum {column.enum}" + (f" without {', '.join(missing)}" if missing else "")
    if column.owns_enum:
        return Finding("resolved", column.subject, problem, "the enum is widened; its own stay", tuple(statements))
    return Finding("blocks", column.subject, problem, "the owner of the type widens it", tuple(statements))


def _domain(database: Database, column: Column, words: Sequence[str]) -> list[Finding]:
    refused = [word for word in words if not _holds(database, f"'{word}'::{column.domain} IS NOT NULL")]
    if not refused:
        return []
    problem = f"is the domain {column.domain}, which refuses {', '.join(refused)}"
    kind = column.enum or "text"
    return [
        Finding(
            "blocks", column.subject, problem, "widen the domain, or do without it", (column.changed(f"TYPE {kind}"),)
        )
    ]


@dataclass(frozen=True, slots=True)
class _Check:
    name: str
    expression: str
    validated: bool
    columns: Sequence[str]
    types: Sequence[str]

    def admits(self, database: Database, column: Column, word: str) -> bool:
        """Tell whether it holds for a row with this word in the column, and nothing in the others it looks at."""
        if column.enum and word not in column.labels:
            return False
        row = ", ".join(
            f"'{word}'::{kind} AS {name}" if name == column.name else f"NULL::{kind} AS {name}"
            for name, kind in zip(self.columns, self.types, strict=True)
        )
        return _holds(database, f"({self.expression}) IS NOT FALSE FROM (SELECT {row}) AS {column.table}")


def _checks(database: Database, column: Column, words: Sequence[str]) -> list[Finding]:
    """A CHECK is widened by our words; its own words and its name stay."""
    parameters = {"table": column.table, "column": column.name}
    found = []
    for row in database.execute(_SQL["checks"], parameters).fetchall():
        check = _Check(*row)
        refused = [
            word for word in _in_question(database, check, column, words) if not check.admits(database, column, word)
        ]
        if refused:
            found.append(_widened(check, column, refused))
    return found


def _in_question(database: Database, check: _Check, column: Column, words: Sequence[str]) -> Sequence[str]:
    """Return the words that the check may refuse because it does not know them.

    One over several columns may refuse a word for what else is in the row: it is asked for words that are new to the
    platform only, and only where an empty row with one of the platform's own passes.
    """
    if len(check.columns) == 1:
        return words
    if not check.admits(database, column, words[0]):
        return ()
    return [word for word in words if word not in expected.PLATFORM_STATUSES]


def _widened(check: _Check, column: Column, refused: Sequence[str]) -> Finding:
    words = ", ".join(f"'{word}'" for word in refused)
    widen = (
        f"ALTER TABLE public.{column.table} DROP CONSTRAINT {check.name}, "
        f"ADD CONSTRAINT {check.name} CHECK ({column.name} IN ({words}) OR ({check.expression})) NOT VALID"
    )
    validate = f"ALTER TABLE public.{column.table} VALIDATE CONSTRAINT {check.name}"
    problem = f"the CHECK {check.name} refuses {', '.join(refused)}"
    statements = (widen, validate) if check.validated else (widen,)
    return Finding("resolved", column.subject, problem, "the CHECK is widened by these words; its own stay", statements)


def _holds(database: Database, selected: str) -> bool:
    """Tell whether the database finds it true; what it cannot compute is not."""
    try:
        with database.transaction():
            row = database.execute(f"SELECT {selected}".encode()).fetchone()
    except psycopg.Error:
        return False
    return bool(row and row[0])
