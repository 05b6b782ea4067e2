"""SIGKILL at random moments of Resend batches: nothing lost, nothing twice, by the vendor's own count."""

import random
import time
from functools import partial

import psutil

from benchmarks.load import insert
from benchmarks.running import until
from tests.acceptance.conftest import FULL, Scene, at_work

KILLS = 100 if FULL else 8
PER_KILL = 150
"""Messages inserted before each kill."""


def test_kills_at_random_moments_of_batches(scene: Scene) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}, {KILLS} kills")
    chance = random.Random(seed)
    at_work(scene, "email")
    killed = 0
    for round_ in range(KILLS):
        insert(scene.owner, "email", PER_KILL, f"round {round_} ")
        until(lambda: scene.statuses().get("sending", 0) > 0 or scene.all_are("sent", "unknown"))
        time.sleep(chance.uniform(0, 0.12))  # the moment is what is tried
        child = scene.child()
        if child is not None:
            child.kill()
            killed += 1
        until(partial(_replaced, scene, child))

    until(lambda: scene.all_are("sent"), patience_seconds=400)

    resend, keys = scene.stats()["resend"], scene.stats("/keys")
    attempts = scene.owner.execute("SELECT count(*) FROM fleet.attempts WHERE outcome = 'unknown'").fetchone()
    again = [key for key in keys if key["requests"] > 1]
    print(
        f"{killed} kills, {KILLS * PER_KILL} messages, accepted {resend['accepted']}, "
        f"duplicates {resend['duplicates']}, keys with more than one request {len(again)} of {len(keys)}, "
        f"attempts left unknown by a kill {attempts}"
    )
    assert resend["accepted"] == KILLS * PER_KILL
    assert resend["duplicates"] == 0
    assert all(key["distinct_bodies"] == 1 for key in keys)
    assert killed >= KILLS * 3 // 4
    sent = {str(row[0]) for row in scene.owner.execute("SELECT provider_message_id FROM channel_outbox").fetchall()}
    assert sent == {one["id"] for one in scene.accepted()}


def _replaced(scene: Scene, victim: psutil.Process | None) -> bool:
    child = scene.child()
    return child is not None and (victim is None or child.pid != victim.pid)
