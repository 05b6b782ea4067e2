"""The small parent of a sending child: starts it, listens for its beats, ends it when it is silent, starts it again.

A child whose loop does not run cannot notice that its leases are over. The parent does, and ends it with SIGKILL,
which also ends a stopped process without letting it run once more. Refuses to import what sends.
"""

import math
import os
import select
import signal
import subprocess
import sys
from collections.abc import Sequence
from time import monotonic
from types import FrameType

from config import log
from config.settings import Settings
from workers import fence
from workers.gate import RETIRED

BOOT_SECONDS = 120.0
"""Until its first beat a child may import, and wait for its servers."""
BACKOFF_SECONDS = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
STEADY_SECONDS = 60.0
"""A child that lived this long was well."""
LONGEST_LOOK_SECONDS = 1.0
"""How long the parent may sleep before it looks whether its child is silent."""

_log = log.get(__name__)


class Supervisor:
    """Runs one sending child for `queues`, again and again, until it is told to end."""

    def __init__(self, queues: Sequence[str], settings: Settings) -> None:
        self._queues = list(queues)
        self._silence_seconds = settings.lease_seconds - settings.lease_margin_seconds
        self._look_seconds = min(LONGEST_LOOK_SECONDS, settings.lease_margin_seconds / 2)
        self._drain_seconds = settings.drain_seconds
        self._drained_by = math.inf
        self._ending = 0
        self._wakeup, wakeup_write = os.pipe()
        os.set_blocking(wakeup_write, False)
        self._wakeup_write = wakeup_write

    def run(self) -> int:
        """Return the exit code: 0 where the child drained because it was told to or retired, 1 where it did not."""
        signal.set_wakeup_fd(self._wakeup_write)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._end)
        failures = 0
        while True:
            began = monotonic()
            code = self._one_life()
            if self._told_to_end() or code == RETIRED:
                return 0 if code in {0, RETIRED} else 1
            failures = failures + 1 if ended_by_itself(code, monotonic() - began) else 0
            wait = BACKOFF_SECONDS[min(failures, len(BACKOFF_SECONDS) - 1)]
            _log.warning("child_ended", code=code, restart_in_seconds=wait)
            select.select([self._wakeup], [], [], wait)
            if self._told_to_end():
                return 0

    def _one_life(self) -> int:
        beats, child_end = os.pipe()
        child = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-m", "workers.child", str(child_end), str(os.getpid()), *self._queues],
            pass_fds=[child_end],
        )
        os.close(child_end)
        try:
            self._watch(child, beats)
            return child.wait()
        finally:
            os.close(beats)

    def _watch(self, child: "subprocess.Popen[bytes]", beats: int) -> None:
        """Return when the child has closed its end, which it does by ending. Kill it when silent, or late to drain."""
        silent_at, forwarded = monotonic() + BOOT_SECONDS, 0
        while True:
            ready, _, _ = select.select([beats, self._wakeup], [], [], self._look_seconds)
            if self._wakeup in ready:
                os.read(self._wakeup, 64)
            while forwarded < self._ending:
                child.send_signal(signal.SIGTERM)
                forwarded += 1
            if beats in ready:
                if not os.read(beats, 4096):
                    return
                silent_at = monotonic() + self._silence_seconds
            if monotonic() > min(silent_at, self._drained_by):
                _log.error(
                    "child_killed", pid=child.pid, reason="silent" if monotonic() > silent_at else "did not drain"
                )
                child.kill()
                return

    def _told_to_end(self) -> bool:
        return self._ending > 0

    def _end(self, _number: int, _frame: FrameType | None) -> None:
        if not self._ending:
            self._drained_by = monotonic() + self._drain_seconds
        self._ending += 1


def ended_by_itself(code: int, lived_seconds: float) -> bool:
    """Tell whether a child crashed soon after its start, and is likely to do so again.

    One that was killed, or that was stopped and continued, is not: its successor is started without a longer wait.
    """
    return code > 0 and code != fence.EXIT_CODE and lived_seconds < STEADY_SECONDS
