"""The columns that the fleet reads or writes: are they there, and can they hold what the fleet keeps in them?

Owns types, lengths and NULLs. Which words a column admits is judged in `words`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from outbox.migrate import expected
from outbox.migrate.finding import Database, Finding
from outbox.queries import load

_SQL = load("inspect")


@dataclass(frozen=True, slots=True)
class Column:
    """A column as it is."""

    table: str
    name: str
    type: str
    """What it is made of, where it has a domain."""
    longest: int | None
    """Characters, where it is limited."""
    enum: str | None
    owns_enum: bool
    labels: Sequence[str]
    domain: str | None
    not_null: bool
    has_default: bool
    generated: bool
    dependents: Sequence[str]
    """What keeps its type from being changed."""

    @property
    def subject(self) -> str:
        """How findings name it."""
        return f"{self.table}.{self.name}"

    def changed(self, change: str) -> str:
        """Return the statement that changes it."""
        return f"ALTER TABLE public.{self.table} ALTER COLUMN {self.name} {change}"


Columns = dict[tuple[str, str], Column]


def read(database: Database) -> Columns:
    """Return every column of the platform's tables that are there."""
    rows = database.execute(_SQL["columns"], {"tables": list(expected.COLUMNS)}).fetchall()
    return {(row[0], row[1]): Column(*row) for row in rows}


def find(columns: Columns) -> list[Finding]:
    """Return what the columns cannot hold."""
    wanted = [column for (table, name), column in columns.items() if name in expected.COLUMNS[table]]
    judged = [_type(column) or _length(column) or _generated(column) or _null(column) for column in wanted]
    return [*_without_id(columns), *_names_taken(columns), *(finding for finding in judged if finding)]


def _type(column: Column) -> Finding | None:
    wanted = expected.COLUMNS[column.table][column.name]
    free = column.name in expected.FREE_TEXT.get(column.table, ())
    if column.type in wanted or (column.enum and wanted == expected.TEXT and not free):
        return None
    problem = f"is {column.type}, the fleet needs {wanted[0]}"
    if column.name in expected.ADDED.get(column.table, ()) and (column.type, wanted[0]) not in _ALIKE:
        rename = f"ALTER TABLE public.{column.table} RENAME COLUMN {column.name} TO {column.name}_of_platform"
        return Finding("blocks", column.subject, problem, "the fleet adds a column of this name", (rename,))
    return Finding("blocks", column.subject, problem, "convert it" + _first(column), _conversion(column, wanted[0]))


_ALIKE = {("timestamp without time zone", "timestamp with time zone"), ("json", "jsonb")}
"""Types that mean the same: a column of the owner's that is no other thing by the same name."""


def _conversion(column: Column, wanted: str) -> tuple[str, ...]:
    if column.type == "timestamp without time zone":
        using = f"{column.name} AT TIME ZONE 'UTC'"
    elif wanted == "uuid" and column.type in ("smallint", "integer", "bigint"):
        using = f"lpad(to_hex({column.name}), 32, '0')::uuid"
    else:
        using = f"{column.name}::text::{wanted}"
    change = column.changed(f"TYPE {wanted} USING {using}")
    if not column.has_default or wanted != "uuid":
        return (change,)
    empty = column.changed(f"DROP IDENTITY IF EXISTS, ALTER COLUMN {column.name} DROP DEFAULT")
    return empty, change, column.changed("SET DEFAULT gen_random_uuid()")


def _first(column: Column) -> str:
    if not column.dependents:
        return ""
    return f"; before it drop, and after it make again: {', '.join(column.dependents)}"


def _length(column: Column) -> Finding | None:
    words = expected.VOCABULARIES.get((column.table, column.name), ())
    needed = max(map(len, words), default=0)
    free = column.name in expected.FREE_TEXT.get(column.table, ())
    if column.longest is None or (column.longest >= needed and not free):
        return None
    problem = f"takes {column.longest} characters only, the fleet writes " + (
        "whole sentences" if free else "longer words"
    )
    return Finding("blocks", column.subject, problem, "lift the limit" + _first(column), (column.changed("TYPE text"),))


def _generated(column: Column) -> Finding | None:
    if not column.generated or column.name not in expected.WRITTEN.get(column.table, ()):
        return None
    problem = "is computed by the database, the fleet could not write it"
    return Finding(
        "blocks", column.subject, problem, "make it an ordinary column", (column.changed("DROP EXPRESSION"),)
    )


def _null(column: Column) -> Finding | None:
    default = expected.NUMBERS.get((column.table, column.name))
    if column.name in expected.EMPTIED.get(column.table, ()) and column.not_null:
        problem = "is NOT NULL, the fleet empties it"
        return Finding("resolved", column.subject, problem, "it may be NULL", (column.changed("DROP NOT NULL"),))
    if default is not None and not column.not_null:
        fill = f"UPDATE public.{column.table} SET {column.name} = {default} WHERE {column.name} IS NULL"
        change = column.changed(f"SET DEFAULT {default}, ALTER COLUMN {column.name} SET NOT NULL")
        return Finding("blocks", column.subject, "may be NULL, the fleet calculates with it", "fill it", (fill, change))
    if column.name == "id" and column.table in expected.QUEUES and not column.not_null:
        fill = f"UPDATE public.{column.table} SET id = gen_random_uuid() WHERE id IS NULL"
        mend = (fill, column.changed("SET NOT NULL"))
        return Finding("blocks", column.subject, "may be NULL: such a row could not be named", "fill it", mend)
    return None


def _without_id(columns: Columns) -> list[Finding]:
    tables = {table for table, _ in columns}
    return [
        Finding(
            "blocks",
            f"{table}.id",
            "is missing: a row could not be named",
            "add it",
            (f"ALTER TABLE public.{table} ADD COLUMN id uuid NOT NULL UNIQUE DEFAULT gen_random_uuid()",),
        )
        for table in expected.QUEUES
        if table in tables and (table, "id") not in columns
    ]


def _names_taken(columns: Columns) -> list[Finding]:
    """Where some of our columns are there and others are not, those that are there are the owner's."""
    found = []
    for table, added in expected.ADDED.items():
        taken = [name for name in added if (table, name) in columns]
        if len(taken) < len(added):
            problem = "is there already; from now on the fleet alone writes it"
            found += [Finding("note", f"{table}.{name}", problem, "whoever else writes it must stop") for name in taken]
    return found
