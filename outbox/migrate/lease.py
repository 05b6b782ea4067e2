"""The lease that lets one migration run at a time.

A row, not an advisory lock: a session lock does not survive a transaction-mode pooler, and a transaction lock cannot
span `CREATE INDEX CONCURRENTLY`. It is renewed beside the work, because one index build may outlast any fixed time.
"""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg

from outbox.migrate.finding import Database

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


class Lease:
    """A lease that is held, until it could not be renewed."""

    def __init__(self, database: Database) -> None:
        self.holder = f"{socket.gethostname()}:{os.getpid()}:{threading.get_ident()}"
        self._database = database
        self._lost = threading.Event()

    def take(self) -> bool:
        """Take it, or renew it; False where another has it."""
        parameters = {"holder": self.holder, "seconds": LEASE_SECONDS}
        return self._database.execute(_TAKE, parameters).fetchone() is not None

    def keep(self, done: threading.Event) -> None:
        """Renew it until `done`, or until that fails."""
        while not done.wait(LEASE_SECONDS / 4):
            try:
                kept = self.take()
            except psycopg.Error:
                kept = False
            if not kept:
                self._lost.set()
                return

    def check(self) -> None:
        """Raise Busy where it was lost: another migration may have begun."""
        if self._lost.is_set():
            raise Busy("the lease on the migration was lost; run it again")

    def give_back(self) -> None:
        """End it; without a connection it runs out by itself."""
        with suppress(psycopg.Error):
            self._database.execute("DELETE FROM fleet.migration_lease WHERE holder = %s", (self.holder,))


@contextmanager
def held(database_url: str) -> Iterator[Lease]:
    """Hold the lease; renew it from a thread with a connection of its own. Raises Busy."""
    with psycopg.connect(database_url, autocommit=True, prepare_threshold=None) as database:
        lease, done = Lease(database), threading.Event()
        if not lease.take():
            row = database.execute("SELECT holder, expires_at FROM fleet.migration_lease").fetchone()
            holder, end = row or ("somebody", "soon")
            raise Busy(f"{holder} is migrating; its lease ends {end}")
        renewal = threading.Thread(target=lease.keep, args=(done,), name="migration lease", daemon=True)
        renewal.start()
        try:
            yield lease
        finally:
            done.set()
            renewal.join()
            lease.give_back()
