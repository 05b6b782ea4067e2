"""`migrate` beside people who write: nobody waits long, and no row is lost or changed."""

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

import psycopg
import pytest

from outbox.migrate.runner import migrate

from .fingerprints import columns_of, dump, rows_of
from .owners_database import fill, make
from .owners_ways import WAYS

LONGEST_WAIT_SECONDS = 1.0
PATIENCE_SECONDS = 60.0
MESSAGES = 1_000_000 if os.environ.get("FULL") == "1" else 50_000
AN_OWNERS = ("enum channel and provider", "check on status", "extra columns", "policy names taken", "unknown tables")


class Inserter:
    """Somebody who inserts a message every tenth of a second, far into the future, and measures the wait."""

    INTERVAL_SECONDS = 0.1

    def __init__(self, database_url: str) -> None:
        self.longest_seconds = 0.0
        self.inserted = 0
        self._database_url = database_url
        self._ended = threading.Event()
        self._more = threading.Condition()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Inserter":
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._ended.set()
        self._thread.join(PATIENCE_SECONDS)

    def wait_for(self, inserted: int) -> None:
        """Wait until so many messages more are in."""
        with self._more:
            goal = self.inserted + inserted
            assert self._more.wait_for(lambda: self.inserted >= goal, PATIENCE_SECONDS), "the inserter is stuck"

    def _run(self) -> None:
        with psycopg.connect(self._database_url, autocommit=True) as database:
            while not self._ended.wait(self.INTERVAL_SECONDS):
                began = time.monotonic()
                database.execute(
                    "INSERT INTO channel_outbox (channel, payload, status, scheduled_at, idempotency_key) "
                    "VALUES ('email', '{}', 'scheduled', now() + interval '9 years', 'live-' || gen_random_uuid())"
                )
                with self._more:
                    self.longest_seconds = max(self.longest_seconds, time.monotonic() - began)
                    self.inserted += 1
                    self._more.notify_all()


@contextmanager
def migrating(database_url: str) -> Iterator[threading.Thread]:
    """Migrate in a thread of its own; what it raised is raised in the end."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            migrate(database_url, lambda _line: None)
        except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    yield thread
    thread.join(PATIENCE_SECONDS * 5)
    assert not thread.is_alive()
    if raised:
        raise raised[0]


@pytest.mark.slow
def test_a_large_database_is_migrated_beside_its_writers(
    empty_database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The short form has 50,000 messages; FULL=1 makes it a million."""
    with psycopg.connect(empty_database, autocommit=True) as database:
        make(database)
        fill(database, messages=MESSAGES)
        for way in AN_OWNERS:
            database.execute(WAYS[way].encode())
        columns = columns_of(database)
        before = rows_of(database, columns)

        began = time.monotonic()
        with Inserter(empty_database) as inserter:
            inserter.wait_for(2)
            with migrating(empty_database):
                pass
            inserter.wait_for(1)
        seconds = time.monotonic() - began

        database.execute("DELETE FROM channel_outbox WHERE idempotency_key LIKE 'live-%'")
        assert rows_of(database, columns) == before
        schema = dump(empty_database, "--schema-only")
        ours = rows_of(database, {"channel_outbox": columns_of(database)["channel_outbox"]})
        assert migrate(empty_database, lambda _line: None) == []
        assert dump(empty_database, "--schema-only") == schema
        assert rows_of(database, {"channel_outbox": columns_of(database)["channel_outbox"]}) == ours
    with capsys.disabled():
        sys.stdout.write(
            f"\n{MESSAGES} messages in {seconds:.1f} s; an insert waited {inserter.longest_seconds:.3f} s at most\n"
        )
    assert inserter.longest_seconds < LONGEST_WAIT_SECONDS


def test_a_long_transaction_holds_the_migration_up_and_nobody_else(empty_database: str) -> None:
    with psycopg.connect(empty_database, autocommit=True) as database:
        make(database)
        fill(database)
    with psycopg.connect(empty_database) as holder, Inserter(empty_database) as inserter:
        holder.execute("UPDATE channel_outbox SET scheduled_at = scheduled_at")
        with migrating(empty_database) as migration:
            inserter.wait_for(30)
            assert migration.is_alive(), "it cannot have passed the lock"
            holder.commit()
    assert inserter.longest_seconds < LONGEST_WAIT_SECONDS
    assert migrate(empty_database, lambda _line: None) == []
