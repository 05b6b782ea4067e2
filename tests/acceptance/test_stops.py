"""Processes that are stopped and continued: whoever was stopped sends nothing more, by the vendor's own count."""

import os
import random
import signal
import time
from pathlib import Path

import psutil

from benchmarks.load import insert
from benchmarks.running import until
from tests.acceptance.conftest import FULL, Scene, at_work
from workers import fence

UNITS = 4 if FULL else 1
"""Stopped together, so that none is left that could send."""
ROUNDS = 50 if FULL else 6
STOPS = ROUNDS * UNITS
PER_ROUND = 150 * UNITS
"""Messages inserted before each round: more than are sent before it."""
LEASE_SECONDS = 2
SHORT = {
    "FLEET_LEASE_SECONDS": str(LEASE_SECONDS),
    "FLEET_RECONCILE_GRACE_SECONDS": "0.2",
    "FLEET_RECONCILE_HORIZON_SECONDS": "2",
}
QUIET_SECONDS = 0.3
"""The vendor has received what was on the wire when its count has not moved for this long."""


def test_nothing_leaves_after_a_stop_that_outlasts_the_lease(scene: Scene) -> None:
    """The parents are stopped as well, so that the stopped children are the only ones that could send."""
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    scene.fleet.environment |= SHORT
    at_work(scene, "sms")
    parents = [scene.fleet.processes["worker"]]
    parents += [scene.fleet.start(f"worker {number}", "workers", "sms") for number in range(1, UNITS)]
    under_way = leaked = 0
    for round_ in range(ROUNDS):
        until(lambda: len(_alive(scene)) == UNITS)
        insert(scene.owner, "sms", PER_ROUND, f"round {round_} ")
        children = _sending(scene)
        time.sleep(chance.uniform(0, 0.05))  # the moment is what is tried
        for pid in [*(parent.pid for parent in parents), *(child.pid for child in children)]:
            os.kill(pid, signal.SIGSTOP)
        before = _received_once_quiet(scene)
        under_way += _batches(scene)
        until(lambda: _batches(scene) == 0)  # the rescuer found their leases over
        for child in children:
            child.send_signal(signal.SIGCONT)
        until(lambda children=children: all(map(_is_dead, children)))  # type: ignore[misc]
        assert {_exit_code(child) for child in children} == {fence.EXIT_CODE}
        leaked += _received_once_quiet(scene) - before
        for parent in parents:
            parent.send_signal(signal.SIGCONT)
    # A message over which three workers were stopped counts as one that ends workers, and fails.
    until(lambda: scene.all_are("sent", "failed"), patience_seconds=120 + 5 * STOPS)

    counts, statuses = scene.stats()["twilio"], scene.statuses()
    codes = scene.owner.execute("SELECT DISTINCT error_code FROM channel_outbox WHERE status = 'failed'").fetchall()
    print(
        f"seed {seed}: {STOPS} stops of {LEASE_SECONDS} s and more, {under_way} batches under way, {leaked} requests "
        f"after SIGCONT; {ROUNDS * PER_ROUND} messages, accepted {counts['accepted']}, "
        f"duplicates {counts['duplicates']}, {statuses}"
    )
    assert leaked == 0
    assert under_way >= STOPS / 2, "stops must come while something is under way, or nothing was tried"
    assert (counts["accepted"], counts["duplicates"]) == (statuses["sent"], 0)
    assert sum(statuses.values()) == ROUNDS * PER_ROUND
    assert set(codes) <= {("poison",)}


def test_exactly_one_thread_takes_the_signal(scene: Scene) -> None:
    at_work(scene, "email", "sms")
    child = scene.child()
    assert child is not None
    bit = 1 << (signal.SIGCONT - 1)
    blocked = [_mask(path, "SigBlk") & bit for path in Path(f"/proc/{child.pid}/task").glob("*/status")]
    assert len(blocked) > 4
    assert blocked.count(0) == 1
    assert _mask(Path(f"/proc/{child.pid}/status"), "SigCgt") & bit


def test_a_stopped_child_is_killed_before_its_lease_is_taken(scene: Scene) -> None:
    at_work(scene, "sms")
    child = scene.child()
    assert child is not None
    child.suspend()
    began = time.monotonic()

    until(lambda: _is_dead(child), pause_seconds=0.01)

    lease_seconds, margin_seconds = 4.0, 0.4
    assert time.monotonic() - began < lease_seconds + margin_seconds, "only then may a rescuer take its batches"
    until(lambda: _another(scene, child))


def test_job_control_costs_the_child_and_nobody_else(scene: Scene) -> None:
    at_work(scene, "email")
    for _ in range(3):
        child = scene.child()
        assert child is not None
        for process in scene.fleet.processes.values():
            os.killpg(process.pid, signal.SIGSTOP)
        until(lambda child=child: child.status() == psutil.STATUS_STOPPED)  # type: ignore[misc]
        for process in scene.fleet.processes.values():
            os.killpg(process.pid, signal.SIGCONT)
        until(lambda child=child: _another(scene, child))  # type: ignore[misc]

    assert [process.poll() for process in scene.fleet.processes.values()] == [None, None]
    insert(scene.owner, "email", 10, "a")
    until(lambda: scene.all_are("sent"))


def test_a_stopped_parent_harms_nobody(scene: Scene) -> None:
    at_work(scene, "email")
    child, parent = scene.child(), scene.fleet.processes["worker"]
    assert child is not None
    parent.send_signal(signal.SIGSTOP)
    insert(scene.owner, "email", 300, "a")
    until(lambda: scene.all_are("sent"))
    parent.send_signal(signal.SIGCONT)

    insert(scene.owner, "email", 300, "b")
    until(lambda: scene.all_are("sent"))
    assert scene.child() == child
    assert scene.stats()["resend"]["duplicates"] == 0


def _sending(scene: Scene) -> list[psutil.Process]:
    """Wait until every unit has a child and half of them a batch under way, and return the children."""
    found: list[psutil.Process] = []

    def sends() -> bool:
        found[:] = _alive(scene)
        return len(found) == UNITS and 2 * _batches(scene) >= UNITS

    until(sends, pause_seconds=0.002)
    return found


def _alive(scene: Scene) -> list[psutil.Process]:
    return [child for child in scene.children() if not _is_dead(child)]


def _is_dead(child: psutil.Process) -> bool:
    try:
        return child.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _batches(scene: Scene) -> int:
    row = scene.owner.execute("SELECT count(*) FROM fleet.batches").fetchone()
    return int(row[0]) if row else 0


def _received_once_quiet(scene: Scene) -> int:
    """How many requests the vendor has received, when no more come."""
    received, since = -1, time.monotonic()

    def quiet() -> bool:
        nonlocal received, since
        now = int(scene.stats()["twilio"]["requests"])
        if now != received:
            received, since = now, time.monotonic()
        return time.monotonic() - since > QUIET_SECONDS

    until(quiet)
    return received


def _mask(status: Path, name: str) -> int:
    lines = dict(line.split(":\t", 1) for line in status.read_text().splitlines() if ":\t" in line)
    return int(lines[name], 16)


def _exit_code(zombie: psutil.Process) -> int:
    """The code of a process that its parent has not asked for yet: the last field of its stat."""
    return os.waitstatus_to_exitcode(int(Path(f"/proc/{zombie.pid}/stat").read_text().split()[-1]))


def _another(scene: Scene, than: psutil.Process) -> bool:
    child = scene.child()
    return child is not None and child.pid != than.pid
