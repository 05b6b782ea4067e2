"""What is done to a running fleet: one disturbance at a time, chosen by a seeded chance, and counted.

Owns the kinds and how often each comes. Refuses to judge what comes of it.
"""

import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import psutil

from tests.chaos.stage import LEASE_SECONDS, Stage

FAULTS = (
    {"kind": "accept_then_drop", "vendor": "*", "rate": 0.04},
    {"kind": "drop", "vendor": "*", "rate": 0.02},
    {"kind": "server_error_after_accept", "vendor": "*", "rate": 0.02},
    {"kind": "server_error", "vendor": "*", "rate": 0.02},
    {"kind": "too_many", "vendor": "*", "rate": 0.03, "seconds": 1},
    {"kind": "hang", "vendor": "*", "rate": 0.003, "seconds": 2},
)
"""At work from the first request to the end of the disturbances."""
PAUSE_SECONDS = (0.3, 1.2)
"""Between two disturbances."""


@dataclass(slots=True)
class Disturbances:
    """Disturbs one stage until every kind has come as often as it was asked for."""

    stage: Stage
    chance: random.Random
    wanted: Counter[str]
    done: Counter[str] = field(default_factory=Counter)

    @property
    def finished(self) -> bool:
        """Has everything that was asked for been done?"""
        return all(self.done[kind] >= count for kind, count in self.wanted.items())

    def next(self) -> None:
        """Do one of those that are still wanted; each as likely as there are of it left."""
        left = {kind: count - self.done[kind] for kind, count in self.wanted.items() if count > self.done[kind]}
        kind = self.chance.choices(list(left), weights=list(left.values()))[0]
        if DISTURBANCES[kind](self):
            self.done[kind] += 1
        self.stage.keep_running()
        time.sleep(self.chance.uniform(*PAUSE_SECONDS))  # the moment is what is tried

    def kill(self) -> bool:
        """SIGKILL one process of the fleet: most often the one that sends."""
        name = self.chance.choice(("child-1", "child-1", "child-2", "child-2", *self.stage.commands))
        return self._signal(self._process(name), signal.SIGKILL)

    def stop(self) -> bool:
        """SIGSTOP a sending process for longer than its lease, then SIGCONT; or its whole unit, parent and all."""
        unit = self.chance.choice(("worker-1", "worker-2"))
        victims = [process for process in (self.stage.child(unit),) if process]
        if self.chance.random() < 0.5 and (parent := self.stage.process(unit)):
            victims.append(parent)
        stopped = [process for process in victims if self._signal(process, signal.SIGSTOP)]
        if not stopped:
            return False
        give_up_at = time.monotonic() + 1.5 * LEASE_SECONDS
        while time.monotonic() < give_up_at:
            self.stage.keep_running()
            time.sleep(0.2)
        for process in stopped:
            self._signal(process, signal.SIGCONT)
        return True

    def wipe(self) -> bool:
        """Kill Valkey with everything that it holds."""
        self.stage.kill_redis()
        return True

    def restart(self) -> bool:
        """Restart PostgreSQL, in order or not."""
        self.stage.restart_postgres(self.chance.choice((signal.SIGINT, signal.SIGKILL)))
        return True

    def _process(self, name: str) -> psutil.Process | None:
        if name.startswith("child-"):
            return self.stage.child(name.replace("child", "worker"))
        return self.stage.process(name)

    def _signal(self, process: psutil.Process | None, number: signal.Signals) -> bool:
        try:
            if process is None or not process.is_running():
                return False
            process.send_signal(number)
        except psutil.NoSuchProcess:
            return False
        return True


DISTURBANCES: dict[str, Callable[[Disturbances], bool]] = {
    "kill": Disturbances.kill,
    "stop": Disturbances.stop,
    "wipe": Disturbances.wipe,
    "restart": Disturbances.restart,
}
"""By name; each tells whether it found what it disturbs."""
