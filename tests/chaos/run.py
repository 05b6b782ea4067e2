"""One chaos run from the first message to the account."""

import random
import time
from collections import Counter
from contextlib import suppress

from psycopg import OperationalError

from benchmarks.running import until
from tests.chaos.account import ENDED, Account, account
from tests.chaos.disturbances import FAULTS, Disturbances
from tests.chaos.load import Load
from tests.chaos.stage import Stage, stage

PATIENCE_SECONDS = 300.0
"""How long the fleet may take to bring everything to its end after the last disturbance."""


def run(
    seed: int, wanted: Counter[str], *, dropped: int, every_seconds: float, patience_seconds: float = PATIENCE_SECONDS
) -> tuple[Account, Counter[str], float]:
    """Run; return the account, what was done, and how long it took in seconds.

    `wanted` says how often each kind of disturbance comes; it goes on until so many answers were `dropped` as well.
    """
    began = time.monotonic()
    with stage() as scene:
        for fault in FAULTS:
            scene.vendors.fault(**fault)
        scene.keep_running()
        load = Load(scene, every_seconds)
        load.start()
        disturbances = Disturbances(scene, random.Random(seed), wanted)
        while not disturbances.finished or _dropped(scene) < dropped:
            if disturbances.finished:
                time.sleep(0.5)
            else:
                disturbances.next()
        scene.vendors.forget_faults()
        load.end()
        with suppress(TimeoutError):  # then the account says what did not come to its end
            until(lambda: _at_rest(scene), patience_seconds, 0.5)
        with scene.connect() as database:
            found = account(database, scene.vendors)
        done = disturbances.done + Counter(started_again=scene.started_again)
        return found, done, time.monotonic() - began


def _dropped(scene: Stage) -> int:
    """How many answers did not come although the vendor had accepted."""
    counted = [vendor for name, vendor in scene.vendors.stats().items() if name != "totals"]
    return sum(vendor["faults"].get("accept_then_drop", 0) for vendor in counted)


def _at_rest(scene: Stage) -> bool:
    scene.keep_running()
    try:
        with scene.connect() as database:
            rows = database.execute("SELECT DISTINCT status FROM channel_outbox").fetchall()
    except OperationalError:
        return False
    return {row[0] for row in rows} <= ENDED
