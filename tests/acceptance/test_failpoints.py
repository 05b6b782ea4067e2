"""Processes that are killed at named places of the code: nothing lost, nothing twice, whatever the vendor can do.

Resend honours a key, so all its messages must arrive. Twilio and Vapi can only be asked what they have.
"""

import signal
from collections.abc import Collection
from pathlib import Path

import pytest

from benchmarks.load import insert
from benchmarks.running import until
from tests.acceptance.conftest import Scene

RESOLVED = False
"""Whether an unknown outcome is looked up at the vendors that can be asked; then every message must end as sent."""

KINDS = {"email": "resend", "sms": "twilio", "voice": "vapi"}
"""Channel → the vendor that stands for its kind."""
COUNT = 30
"""Messages of each channel."""
SHORT = {
    "FLEET_LEASE_SECONDS": "3",
    "FLEET_DRAIN_SECONDS": "1",
    "FLEET_RECONCILE_GRACE_SECONDS": "1",
    "FLEET_RECONCILE_HORIZON_SECONDS": "5",
}
NOTHING_LEFT = {"after_claim", "after_enqueue"}
"""Places at which no request of the process that dies has left."""


@pytest.mark.parametrize("place", ["after_start", "before_request", "after_answer", "before_settle", "after_settle"])
def test_a_worker_dies(scene: Scene, tmp_path: Path, place: str) -> None:
    scene.fleet.environment.update(SHORT)
    scene.fleet.start("scheduler", "scheduler")
    files = _armed_workers(scene, tmp_path, place)
    for channel in KINDS:
        insert(scene.owner, channel, COUNT, channel)

    until(lambda: not any(file.exists() for file in files.values()))

    _all_is_well(scene, KINDS, place)


@pytest.mark.parametrize(
    ("place", "channels"),
    [
        ("after_claim", list(KINDS)),
        ("after_enqueue", list(KINDS)),
        ("in_rescuer", list(KINDS)),
        ("after_replay_claim", ["email"]),
    ],
)
def test_a_scheduler_dies(scene: Scene, tmp_path: Path, place: str, channels: list[str]) -> None:
    scene.fleet.environment.update(SHORT)
    if place in NOTHING_LEFT:
        scene.fleet.start("worker", "workers", *KINDS)
    else:
        _armed_workers(scene, tmp_path, "after_start")  # somebody must die for a rescuer to have work
    for channel in channels:
        file = _arm(scene, tmp_path / "scheduler", place)
        scheduler = scene.fleet.start("scheduler", "scheduler")
        insert(scene.owner, channel, COUNT, channel)
        assert scheduler.wait(60) == -signal.SIGKILL
        assert not file.exists()
    scene.fleet.environment.pop("FLEET_FAILPOINT")
    scene.fleet.start("scheduler", "scheduler")

    _all_is_well(scene, channels, place)


def _arm(scene: Scene, file: Path, place: str) -> Path:
    file.touch()
    scene.fleet.environment["FLEET_FAILPOINT"] = f"{place}:{file}"
    return file


def _armed_workers(scene: Scene, folder: Path, place: str) -> dict[str, Path]:
    """Start one unit for each channel, each to die once; their parents start them again."""
    files = {}
    for channel in KINDS:
        files[channel] = _arm(scene, folder / channel, place)
        scene.fleet.start(f"worker-{channel}", "workers", channel)
    scene.fleet.environment.pop("FLEET_FAILPOINT")
    return files


def _all_is_well(scene: Scene, channels: Collection[str], place: str) -> None:
    for channel in channels:
        certain = RESOLVED or channel == "email" or place in NOTHING_LEFT
        ends = {"sent"} if certain else {"sent", "unknown"}
        until(lambda channel=channel, ends=ends: set(_statuses(scene, channel)) <= ends)  # type: ignore[misc]
    stats = scene.stats()
    for channel in channels:
        statuses, counts = _statuses(scene, channel), stats[KINDS[channel]]
        print(f"{place} {channel}: {statuses}, accepted {counts['accepted']}, duplicates {counts['duplicates']}")
        assert sum(statuses.values()) == COUNT
        assert counts["duplicates"] == 0
        assert statuses.get("sent", 0) <= counts["accepted"] <= COUNT
    accepted = {one["id"] for one in scene.accepted()}
    noted = scene.owner.execute("SELECT provider_message_id FROM channel_outbox WHERE status = 'sent'").fetchall()
    assert {str(row[0]) for row in noted} <= accepted


def _statuses(scene: Scene, channel: str) -> dict[str, int]:
    query = "SELECT status, count(*) FROM channel_outbox WHERE channel = %s GROUP BY status"
    return dict(scene.owner.execute(query, (channel,)).fetchall())
