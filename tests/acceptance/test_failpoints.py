"""Processes that are killed at named places of the code: nothing lost, nothing twice, whatever the vendor can do.

Resend honours a key, so its requests are repeated. Twilio and Vapi can be asked what they have taken. Either way every
message must end as sent, and the vendor must have accepted it once.
"""

import signal
from collections.abc import Collection
from pathlib import Path

import pytest

from benchmarks.load import insert
from benchmarks.running import until
from tests.acceptance.conftest import Scene

KINDS = {"email": "resend", "sms": "twilio", "voice": "vapi"}
"""Channel → the vendor that stands for its kind."""
ASKABLE = ("sms", "voice")
COUNT = 30
"""Messages of each channel."""
SHORT = {
    "FLEET_LEASE_SECONDS": "2",
    "FLEET_DRAIN_SECONDS": "4",
    "FLEET_RECONCILE_GRACE_SECONDS": "0.2",
    "FLEET_RECONCILE_HORIZON_SECONDS": "2",
}


@pytest.mark.parametrize("place", ["after_start", "before_request", "after_answer", "before_settle", "after_settle"])
def test_a_worker_dies(scene: Scene, tmp_path: Path, place: str) -> None:
    scene.fleet.environment.update(SHORT)
    files = _armed_workers(scene, tmp_path, place)
    scene.fleet.start("scheduler", "scheduler")
    for channel in KINDS:
        insert(scene.owner, channel, COUNT, channel)

    until(lambda: not any(file.exists() for file in files))

    _all_is_well(scene, KINDS, place)


def test_a_worker_dies_while_it_looks_up(scene: Scene, tmp_path: Path) -> None:
    scene.fleet.environment.update(SHORT)
    files = _armed_workers(scene, tmp_path, "in_reconciler", ASKABLE)
    scene.fleet.start("scheduler", "scheduler")
    for channel in ASKABLE:
        scene.fault(vendor=KINDS[channel], kind="accept_then_drop", count=COUNT // 2)
        insert(scene.owner, channel, COUNT, channel)

    until(lambda: not any(file.exists() for file in files))

    _all_is_well(scene, ASKABLE, "in_reconciler")


@pytest.mark.parametrize("place", ["after_claim", "after_enqueue"])
def test_a_scheduler_dies(scene: Scene, tmp_path: Path, place: str) -> None:
    scene.fleet.environment.update(SHORT)
    scene.fleet.start("worker", "workers", *KINDS)
    _schedulers_die(scene, tmp_path, place, KINDS)
    _all_is_well(scene, KINDS, place)


@pytest.mark.parametrize(("place", "channels"), [("in_rescuer", tuple(KINDS)), ("after_replay_claim", ("email",))])
def test_a_scheduler_dies_while_it_rescues(scene: Scene, tmp_path: Path, place: str, channels: Collection[str]) -> None:
    scene.fleet.environment.update(SHORT)
    _armed_workers(scene, tmp_path, "after_start", channels)  # what died before gives the rescuer its work
    _schedulers_die(scene, tmp_path, place, channels)
    _all_is_well(scene, channels, place)


def _arm(scene: Scene, file: Path, place: str) -> Path:
    file.touch()
    scene.fleet.environment["FLEET_FAILPOINT"] = f"{place}:{file}"
    return file


def _armed_workers(scene: Scene, folder: Path, place: str, channels: Collection[str] = tuple(KINDS)) -> list[Path]:
    """Start one unit for each channel, whose child dies once; the parent starts it again."""
    files = []
    for channel in channels:
        files.append(_arm(scene, folder / channel, place))
        scene.fleet.start(f"worker-{channel}", "workers", channel)
    scene.fleet.environment.pop("FLEET_FAILPOINT")
    return files


def _schedulers_die(scene: Scene, folder: Path, place: str, channels: Collection[str]) -> None:
    """Insert the messages of one channel after the other, each time under a scheduler that dies; leave one alive."""
    for channel in channels:
        file = _arm(scene, folder / "scheduler", place)
        scheduler = scene.fleet.start("scheduler", "scheduler")
        insert(scene.owner, channel, COUNT, channel)
        assert scheduler.wait(60) == -signal.SIGKILL
        assert not file.exists()
    scene.fleet.environment.pop("FLEET_FAILPOINT")
    scene.fleet.start("scheduler", "scheduler")


def _all_is_well(scene: Scene, channels: Collection[str], place: str) -> None:
    until(lambda: scene.all_are("sent"))
    stats = scene.stats()
    for channel in channels:
        counts = stats[KINDS[channel]]
        print(f"{place} {channel}: accepted {counts['accepted']}, duplicates {counts['duplicates']}")
        assert (counts["accepted"], counts["duplicates"]) == (COUNT, 0)
    noted = scene.owner.execute("SELECT provider_message_id FROM channel_outbox").fetchall()
    assert sorted(str(row[0]) for row in noted) == sorted(one["id"] for one in scene.accepted())
