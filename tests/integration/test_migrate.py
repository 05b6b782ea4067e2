"""`migrate` on an empty database and on the owner's: what is there stays as it is, and a second run changes nothing.

On every version of PostgreSQL that this machine has.
"""

import psycopg

from outbox.migrate import files
from outbox.migrate.runner import connected, migrate
from outbox.migrate.verify import problems

from .fingerprints import columns_of, dump, rows_of
from .owners_database import fill, make
from .owners_ways import WAYS
from .platform_tables import TABLES, Database

# Ways that can all be one owner's.
TOGETHER = (
    "enum channel and provider",
    "check on status",
    "extra columns",
    "policy names taken",
    "unknown tables",
    "publication",
    "views",
    "index names taken",
    "status empty",
)
_OBJECTS = """
    SELECT 'policy', schemaname || tablename || policyname, concat_ws(' ', permissive, roles, cmd, qual, with_check)
    FROM pg_policies WHERE policyname NOT LIKE 'fleet%own%'
    UNION ALL SELECT 'trigger', tgrelid::regclass::text, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
    UNION ALL SELECT 'index', indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index
        WHERE indrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace)
    UNION ALL SELECT 'function', oid::regprocedure::text, prosrc FROM pg_proc
        WHERE pronamespace IN ('public'::regnamespace, 'auth'::regnamespace)
    UNION ALL SELECT 'view', viewname, definition FROM pg_views WHERE schemaname = 'public'
    UNION ALL SELECT 'grant', c.relname, acl::text FROM pg_class c, unnest(c.relacl) AS acl
        WHERE c.relnamespace = 'public'::regnamespace
    UNION ALL SELECT 'column', attrelid::regclass || '.' || attname,
        concat_ws(' ', format_type(atttypid, atttypmod), pg_get_expr(adbin, adrelid))
    FROM pg_attribute JOIN pg_class c ON c.oid = attrelid AND c.relnamespace = 'public'::regnamespace
        AND c.relkind = 'r'
    LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum WHERE attnum > 0 AND NOT attisdropped
"""


def objects(database: Database) -> set[tuple[str, ...]]:
    return set(database.execute(_OBJECTS.encode()).fetchall())


def run(database_url: str) -> list[str]:
    return migrate(database_url, lambda _line: None)


def prepared(database: Database, *ways: str) -> None:
    make(database)
    fill(database)
    for way in ways:
        database.execute(WAYS[way].encode())


def test_an_empty_database_gets_everything(any_database: str) -> None:
    assert run(any_database) == [migration.name for migration in files.load()]
    with connected(any_database) as database:
        assert problems(database) == []
        assert TABLES.keys() <= columns_of(database).keys()


def test_a_second_run_on_an_empty_database_changes_nothing(any_database: str) -> None:
    run(any_database)
    before = dump(any_database)
    assert run(any_database) == []
    assert dump(any_database) == before


def test_the_owners_rows_and_objects_stay(any_database: str) -> None:
    with psycopg.connect(any_database, autocommit=True) as database:
        prepared(database, *TOGETHER)
        columns, there = columns_of(database), objects(database)
        rows = rows_of(database, columns)

        run(any_database)

        assert rows_of(database, columns) == rows
        assert there <= objects(database), there - objects(database)
        assert problems(database) == []


def test_a_second_run_on_the_owners_database_changes_nothing(any_database: str) -> None:
    with psycopg.connect(any_database, autocommit=True) as database:
        prepared(database, *TOGETHER)
    run(any_database)
    before = dump(any_database)
    assert run(any_database) == []
    assert dump(any_database) == before


def test_nobody_gets_a_right_that_the_owner_withheld(empty_database: str) -> None:
    with psycopg.connect(empty_database, autocommit=True) as database:
        prepared(database)
        database.execute("GRANT SELECT ON channel_outbox, job_queue TO service_role")
        run(empty_database)
        query = "SELECT has_any_column_privilege(%s, %s, %s)"
        for table in ("channel_outbox", "job_queue"):
            for role in ("anon", "authenticated"):
                for right in ("SELECT", "INSERT", "UPDATE"):
                    assert database.execute(query, (role, table, right)).fetchone() == (False,), (role, table, right)
