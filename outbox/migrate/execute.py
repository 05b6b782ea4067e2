"""Runs one statement of a migration, short in its locks, so that whoever writes to the tables never waits long."""

import time

from psycopg.errors import DeadlockDetected, LockNotAvailable

from outbox.migrate.files import index_built_by
from outbox.migrate.finding import Database

LOCK_TIMEOUT_MILLISECONDS = 300
"""A statement that waits for a lock makes every later writer wait behind it: it gives up and tries again."""
LOCK_PATIENCE_SECONDS = 600.0
_PAUSE_SECONDS = 0.5


def execute(database: Database, statement: str) -> None:
    """Run it; wait for its lock in short tries, so that writers pass between them.

    Names resolve to nothing but what they say: an object that somebody else made in another schema is never called.
    """
    give_up_at = time.monotonic() + LOCK_PATIENCE_SECONDS
    while True:
        try:
            return _once(database, statement)
        except (LockNotAvailable, DeadlockDetected):
            if time.monotonic() > give_up_at:
                raise
            time.sleep(_PAUSE_SECONDS)


def _once(database: Database, statement: str) -> None:
    index = index_built_by(statement)
    if index is not None:
        _drop_invalid(database, index)
        database.execute(statement.encode())
        return
    with database.transaction():
        database.execute(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MILLISECONDS}".encode())
        database.execute("SET LOCAL statement_timeout = 0")
        database.execute("SET LOCAL search_path = ''")
        database.execute(statement.encode())


def _drop_invalid(database: Database, index: str) -> None:
    """A build that was killed leaves an index that costs every write and serves no read."""
    row = database.execute(
        "SELECT NOT indisvalid FROM pg_index WHERE indexrelid = to_regclass('public.' || %s)", (index,)
    ).fetchone()
    if row and row[0]:
        database.execute(f"DROP INDEX CONCURRENTLY IF EXISTS public.{index}".encode())
