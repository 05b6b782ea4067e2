"""The scheduler's loops live and die together, and end when they are told to."""

import time
from pathlib import Path

import psycopg

from benchmarks.load import insert
from benchmarks.running import until
from config import embedded
from outbox.migrate.runner import migrate
from tests.acceptance.conftest import Scene, ended_with

SECONDS = 20
"""Within which it must have ended: far below the 30 seconds that a pool waits for a connection."""


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
