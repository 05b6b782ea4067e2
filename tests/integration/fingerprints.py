"""What a whole database looks like, to be compared before and after."""

import subprocess
from typing import Any

from psycopg import sql

from config.embedded.binaries import POSTGRES

from .platform_tables import Database

_COLUMNS = """
    SELECT c.relname, array_agg(a.attname ORDER BY a.attnum)
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'
    GROUP BY c.relname
"""

Columns = dict[str, list[str]]
Rows = dict[str, tuple[Any, ...] | None]


def dump(database_url: str, *options: str) -> str:
    """Return everything that pg_dump finds: schema, rights and rows. A newer pg_dump reads older servers as well."""
    program = POSTGRES.locate().with_name("pg_dump")
    done = subprocess.run([str(program), *options, database_url], check=True, capture_output=True, text=True)
    # The lines by which it keeps a restore to itself have another random word each time.
    return "\n".join(line for line in done.stdout.splitlines() if not line.startswith(("\\restrict", "\\unrestrict")))


def columns_of(database: Database) -> Columns:
    """Return the columns of every table in schema public."""
    return dict(database.execute(_COLUMNS).fetchall())


def rows_of(database: Database, columns: Columns) -> Rows:
    """Return of each table how many rows it has and a number that changes with any value in these columns."""
    query = sql.SQL("SELECT count(*), sum(hashtextextended(ROW({})::text, 0)) FROM public.{} AS t")
    found = {}
    for table, names in columns.items():
        row = sql.SQL(", ").join(sql.Identifier("t", name) for name in names)
        found[table] = database.execute(query.format(row, sql.Identifier(table))).fetchone()
    return found
