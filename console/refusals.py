"""Refused callbacks: what the vendor is told, and a log that counts them without letting anybody fill a disk.

Owns what a line may hold: provider, status, our own word for the reason, and how often; one line a second at most.
Refuses bodies, addresses and whatever else the caller chose.
"""

import asyncio
from collections import Counter

from starlette.responses import PlainTextResponse, Response

from config import log

PERIOD_SECONDS = 1.0
RETRY_AFTER_SECONDS = 5

_log = log.get(__name__)


class Refused(Exception):
    """A callback that is not stored. `reason` is of a bounded number, `detail` only for whoever sent it."""

    def __init__(self, status: int, reason: str, detail: str = "") -> None:
        self.status = status
        self.reason = reason
        self.detail = detail or reason
        super().__init__(reason)

    def response(self) -> Response:
        """Return what the vendor is told: on a 503 also when to come again."""
        headers = {"Retry-After": str(RETRY_AFTER_SECONDS)} if self.status == 503 else None
        text = self.detail.encode("utf-8", "replace") + b"\n"
        return PlainTextResponse(text, status_code=self.status, headers=headers)


class Refusals:
    """Counts the refusals of one process: a line at once, and the next with the count of the second after it."""

    def __init__(self, period_seconds: float = PERIOD_SECONDS) -> None:
        self._period_seconds = period_seconds
        self._counted: Counter[str] = Counter()
        self._timer: asyncio.TimerHandle | None = None

    def note(self, provider: str, refused: Refused) -> None:
        """Count one; `provider` is one of ours, or a word for all that are not."""
        self._counted[f"{provider} {refused.status} {refused.reason}"] += 1
        if self._timer is None:
            self._flush()

    def close(self) -> None:
        """Write what is counted and not written yet."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._write()

    def _flush(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._period_seconds, self._flush) if self._write() else None

    def _write(self) -> bool:
        if not self._counted:
            return False
        _log.warning("callbacks_refused", count=self._counted.total(), by_reason=dict(self._counted))
        self._counted.clear()
        return True
