"""Processes that are stopped, killed, starved of Redis: nothing is lost and nothing hangs."""

import signal
import time

import pytest
import redis

from benchmarks.load import insert
from benchmarks.running import until
from config import embedded
from tests.acceptance.conftest import Scene, at_work, ended_with

SECONDS = 20
"""Within which a process must have ended: "in seconds" on two slow, shared cores."""


def test_a_drain_finishes_what_is_under_way(scene: Scene) -> None:
    at_work(scene, "email", "sms")
    insert(scene.owner, "email", 1_500, "a")
    insert(scene.owner, "sms", 500, "b")
    until(lambda: scene.statuses().get("sent", 0) > 100)

    assert _drained_in_time(scene, "worker") == 0

    assert set(scene.statuses()) <= {"sent", "queued", "scheduled"}
    assert scene.owner.execute("SELECT count(*) FROM fleet.batches").fetchone() == (0,)
    assert scene.owner.execute("SELECT count(*) FROM fleet.workers").fetchone() == (0,)
    scene.fleet.start("worker", "workers", "email", "sms")
    until(lambda: scene.all_are("sent"))
    assert scene.stats()["totals"]["duplicates"] == 0
    assert scene.stats()["totals"]["accepted"] == 2_000


def test_a_drain_does_not_wait_longer_than_it_may(scene: Scene) -> None:
    scene.fleet.environment |= {"FLEET_LEASE_SECONDS": "12", "FLEET_DRAIN_SECONDS": "4"}
    at_work(scene, "email")
    scene.fault(vendor="resend", kind="accept_then_hang", count=1, seconds=60)
    insert(scene.owner, "email", 100, "a")
    until(lambda: scene.stats()["resend"]["accepted"] == 100)

    _drained_in_time(scene, "worker")

    assert scene.statuses() == {"sending": 100}
    scene.fleet.start("again", "workers", "email")
    until(lambda: scene.all_are("sent"))
    assert scene.stats()["resend"]["accepted"] == 100


def test_a_child_that_cannot_drain_is_killed_in_time(scene: Scene) -> None:
    scene.fleet.environment |= {"FLEET_LEASE_SECONDS": "60", "FLEET_DRAIN_SECONDS": "2"}
    at_work(scene, "email")
    child = scene.child()
    assert child is not None
    child.suspend()

    assert _drained_in_time(scene, "worker", slack_seconds=1) == 1
    assert not child.is_running()


def test_a_second_sigterm_ends_at_once_and_the_ledger_resolves_the_rest(scene: Scene) -> None:
    scene.fleet.environment |= {"FLEET_LEASE_SECONDS": "10", "FLEET_DRAIN_SECONDS": "60"}
    at_work(scene, "email")
    scene.fault(vendor="resend", kind="accept_then_hang", count=2, seconds=60)
    insert(scene.owner, "email", 150, "a")
    until(lambda: scene.stats()["resend"]["accepted"] == 150)
    worker = scene.fleet.processes["worker"]

    worker.send_signal(signal.SIGTERM)

    def ended() -> bool:
        worker.send_signal(signal.SIGTERM)
        return worker.poll() is not None

    until(ended, SECONDS)

    assert worker.returncode != 0, "it did not drain"
    assert scene.statuses() == {"sending": 150}
    scene.fleet.start("again", "workers", "email")
    until(lambda: scene.all_are("sent"))
    assert scene.stats()["resend"]["duplicates"] == 0
    assert scene.stats()["resend"]["accepted"] == 150


def test_a_drain_without_redis_ends_in_seconds(scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> None:
    home = tmp_path_factory.mktemp("redis")
    with embedded.running(home, postgres=False) as own:
        scene.fleet.environment["REDIS_URL"] = own.redis_url
        at_work(scene, "email")
        insert(scene.owner, "email", 1_500, "a")
        until(lambda: scene.statuses().get("sent", 0) > 100)
        embedded.stop(home)

        assert _drained_in_time(scene, "worker") == 0
        assert _drained_in_time(scene, "scheduler") == 0
    assert scene.statuses().get("sending", 0) == 0, "what was under way has ended"
    with embedded.running(home, postgres=False) as own:
        scene.fleet.environment["REDIS_URL"] = own.redis_url
        at_work(scene, "email")
        until(lambda: scene.all_are("sent"))
        scene.fleet.stop()
    assert scene.stats()["resend"]["accepted"] == 1_500
    assert scene.stats()["resend"]["duplicates"] == 0


def test_a_killed_child_is_started_again(scene: Scene) -> None:
    at_work(scene, "email")
    first = scene.child()
    assert first is not None
    first.kill()

    def another() -> bool:
        child = scene.child()
        return child is not None and child.pid != first.pid

    until(another)
    insert(scene.owner, "email", 10, "a")
    until(lambda: scene.all_are("sent"))


def test_a_child_dies_with_its_parent(scene: Scene) -> None:
    at_work(scene, "email")
    child = scene.child()
    assert child is not None

    scene.fleet.processes["worker"].kill()

    child.wait(SECONDS)


def test_a_wiped_redis_loses_nothing(scene: Scene, redis_url: str) -> None:
    scene.fleet.start("scheduler", "scheduler")
    insert(scene.owner, "email", 1_500, "a")
    until(lambda: scene.statuses().get("queued", 0) >= 800)
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()

    scene.fleet.start("worker", "workers", "email")
    until(lambda: scene.all_are("sent"))
    assert scene.stats()["resend"]["accepted"] == 1_500
    assert scene.stats()["resend"]["duplicates"] == 0


def test_two_schedulers_and_two_units_share_the_work(scene: Scene) -> None:
    at_work(scene, "email", "sms", "voice")
    scene.fleet.start("scheduler2", "scheduler")
    scene.fleet.start("worker2", "workers", "email", "sms", "voice")
    insert(scene.owner, "email", 1_000, "a")
    insert(scene.owner, "sms", 500, "b")

    until(lambda: scene.all_are("sent"))
    assert scene.stats()["totals"] | {"requests": 0} == {
        "requests": 0,
        "accepted": 1_500,
        "distinct": 1_500,
        "duplicates": 0,
        "replays": 0,
    }


def _drained_in_time(scene: Scene, name: str, slack_seconds: float = 0) -> int:
    """Ask a process to end, and return its exit code; it must be gone within its time."""
    drain_seconds = float(scene.fleet.environment["FLEET_DRAIN_SECONDS"])
    began = time.monotonic()
    code = ended_with(scene.fleet.processes[name])
    assert time.monotonic() - began < drain_seconds + slack_seconds
    return code
