"""Everything at once: processes killed and stopped, Redis wiped, PostgreSQL restarted, answers dropped, under load."""

import os
import random
from collections import Counter

from tests.chaos.__main__ import DROPPED, WHOLE
from tests.chaos.run import run

FULL = os.environ.get("FULL") == "1"


def test_nothing_is_lost_and_nothing_is_twice() -> None:
    seed = random.randrange(2**32)
    wanted = WHOLE if FULL else Counter(kill=8, stop=1, wipe=1, restart=1)
    found, done, seconds = run(seed, wanted, dropped=DROPPED if FULL else 15, every_seconds=0.15)
    print(f"seed {seed}, {seconds:.0f} s, {dict(done)}: {found}")

    assert found.is_clean, found
    assert found.accepted == found.messages
    assert sum(found.statuses.values()) == found.messages
