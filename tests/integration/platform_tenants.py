"""Tenants for the tests of isolation: a workspace, its person, and a row of theirs in every table of the platform.

The rows are made up from the catalog, so that a new column or table needs no word here.
"""

from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from uuid import UUID, uuid4

from psycopg import sql

from .platform_tables import TABLES, Database

# Each column's name, type, whether an INSERT must give it, and the table that it refers to.
_COLUMNS = """
    SELECT attname, format_type(atttypid, NULL), attnotnull AND NOT atthasdef,
           (SELECT confrelid::regclass::text FROM pg_constraint
            WHERE conrelid = attrelid AND contype = 'f' AND conkey = ARRAY[attnum])
    FROM pg_attribute
    WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped
"""


@dataclass
class Tenant:
    """A workspace, the person who owns it, and a row of theirs in every table."""

    person: UUID = field(default_factory=uuid4)
    workspace: UUID = field(default_factory=uuid4)
    rows: dict[str, object] = field(default_factory=dict)
    """The id of the row in each table."""


def settled(database: Database) -> Tenant:
    tenant = Tenant()
    database.execute("INSERT INTO auth.users (id) VALUES (%s)", [tenant.person])
    for table in _parents_first(database):
        row = row_of(database, table, tenant) | ({"id": tenant.workspace} if table == "workspaces" else {})
        (tenant.rows[table],) = database.execute(insertion(table, row) + sql.SQL(" RETURNING id"), row).fetchone() or ()
    return tenant


def _parents_first(database: Database) -> list[str]:
    references = "SELECT conrelid::regclass::text, confrelid::regclass::text FROM pg_constraint WHERE contype = 'f'"
    sorter = TopologicalSorter[str](dict.fromkeys(TABLES, ()))
    sorter.add("campaign_audit_log", "campaigns")  # refers to it without a foreign key
    for child, parent in database.execute(references).fetchall():
        sorter.add(child, parent)
    return [table for table in sorter.static_order() if table in TABLES]


def row_of(database: Database, table: str, tenant: Tenant) -> dict[str, object]:
    """Return what makes a row of `table` the tenant's: its keys, and what may not be NULL."""
    known: dict[str, object] = {"workspace_id": tenant.workspace, "tenant_id": tenant.workspace}
    known |= dict.fromkeys(("user_id", "created_by"), tenant.person)
    known["campaign_id"] = tenant.rows.get("campaigns")
    samples = {"text": "something", "app_role": "sales"}
    row: dict[str, object] = {}
    for name, type_name, required, parent in database.execute(_COLUMNS, [table]).fetchall():
        if parent:
            row[name] = tenant.person if parent == "auth.users" else tenant.rows[parent]
        elif name in known:
            row[name] = known[name]
        elif required:
            row[name] = samples[type_name]
    return row


def insertion(table: str, row: dict[str, object]) -> sql.Composed:
    names, values = map(sql.Identifier, row), map(sql.Placeholder, row)
    parts = sql.Identifier(table), sql.SQL(", ").join(names), sql.SQL(", ").join(values)
    return sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(*parts)
