"""The scheduler's loops live and die together, and end when they are told to."""

import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import psycopg
import pytest

from benchmarks.load import insert
from benchmarks.running import until
from config import embedded
from outbox.migrate.runner import migrate
from tests.acceptance.conftest import Scene, ended_with

SECONDS = 20
"""Within which it must have ended: far below the 30 seconds that a pool waits for a connection."""
AT_ONCE_SECONDS = 5
"""Below what the end of a pass and of a query that hangs may take."""


@contextmanager
def hanging(home: Path) -> Iterator[None]:
    """A database that takes connections and answers nothing."""
    postmaster = psutil.Process(embedded.status(home).postgres_process_id)
    processes = [postmaster, *postmaster.children(recursive=True)]
    for process in processes:
        process.suspend()
    try:
        yield
    finally:
        for process in processes:
            process.resume()


def test_a_loop_that_dies_takes_the_process_along(scene: Scene) -> None:
    scheduler = scene.fleet.start("scheduler", "scheduler")
    insert(scene.owner, "email", 1, "a")
    until(lambda: scene.all_are("queued"))

    scene.owner.execute("ALTER TABLE fleet.unknowns RENAME TO gone")

    assert scheduler.wait(SECONDS) == 1


def test_it_ends_in_seconds_while_the_database_is_away(scene: Scene, home: Path) -> None:
    with embedded.running(home, valkey=False, durable=False) as own:
        migrate(own.database_url, lambda _line: None)
        scene.fleet.environment["DATABASE_URL"] = own.database_url
        scheduler = scene.fleet.start("scheduler", "scheduler")
        with psycopg.connect(own.database_url, autocommit=True) as owner:
            insert(owner, "email", 1, "a")
            until(lambda: owner.execute("SELECT status FROM channel_outbox").fetchone() == ("queued",))
        embedded.stop(home)
        began = time.monotonic()

        assert ended_with(scheduler, SECONDS) == 0
        assert time.monotonic() - began < SECONDS
    embedded.erase(home)


def test_told_twice_it_ends_at_once_though_the_database_hangs(scene: Scene, home: Path) -> None:
    with embedded.running(home, valkey=False, durable=False) as own:
        migrate(own.database_url, lambda _line: None)
        scene.fleet.environment["DATABASE_URL"] = own.database_url
        scheduler = scene.fleet.start("scheduler", "scheduler")
        with psycopg.connect(own.database_url, autocommit=True) as owner:
            insert(owner, "email", 1, "a")
            until(lambda: owner.execute("SELECT status FROM channel_outbox").fetchone() == ("queued",))
        with hanging(home):
            scheduler.send_signal(signal.SIGTERM)
            with pytest.raises(subprocess.TimeoutExpired):
                scheduler.wait(0.5)

            assert ended_with(scheduler, AT_ONCE_SECONDS) == 1
    embedded.erase(home)
