"""The lease that lets one migration run at a time.

A row, not an advisory lock: a session lock does not survive a transaction-mode pooler, and a transaction lock cannot
span `CREATE INDEX CONCURRENTLY`. It is renewed beside the work, because one index build may outlast any fixed time.
"""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

LEASE_SECONDS = 60

_TAKE = """
INSERT INTO fleet.migration_lease AS l (holder, expires_at)
VALUES (%(holder)s, now() + make_interval(secs => %(seconds)s))
ON CONFLICT (only_one) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at
WHERE l.expires_at < now() OR l.holder = excluded.holder
RETURNING holder
"""


class Busy(Exception):
    """Another migration is running on this database."""


@contextmanager
def held(database_url: str) -> Iterator[None]:
    """Hold the lease; renew it from a thread with a connection of its own. Raises Busy."""
    holder = f"{socket.gethostname()}:{os.getpid()}:{threading.get_ident()}"
    done = threading.Event()
    with psycopg.connect(database_url, autocommit=True, prepare_threshold=None) as database:
        if not _take(database, holder):
            other = database.execute("SELECT holder, expires_at FROM fleet.migration_lease").fetchone()
            raise Busy(
                f"{other[0] if other else 'somebody'} is migrating; its lease ends {other[1] if other else 'soon'}"
            )
        renewal = threading.Thread(target=_renew, args=(database, holder, done), name="migration lease")
        renewal.start()
        try:
            yield
        finally:
            done.set()
            renewal.join()
            database.execute("DELETE FROM fleet.migration_lease WHERE holder = %s", (holder,))


def _take(database: "psycopg.Connection[tuple[object, ...]]", holder: str) -> bool:
    return database.execute(_TAKE, {"holder": holder, "seconds": LEASE_SECONDS}).fetchone() is not None


def _renew(database: "psycopg.Connection[tuple[object, ...]]", holder: str, done: threading.Event) -> None:
    while not done.wait(LEASE_SECONDS / 4):
        _take(database, holder)
