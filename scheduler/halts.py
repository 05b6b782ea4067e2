"""Halts: what is due of an account that cannot send is put off at once, whole, with the reason that people see.

Claims pass it over; without this loop they would read it again at every look. Refuses to decide who is halted: workers
do, by what the vendor or the tenant's settings say (`admission.accounts`).
"""

from config import log
from config.catalog import served_channels
from config.channels import Channel
from config.database import Pool
from config.settings import Settings
from outbox import accounts

HEAD = 5_000
"""Messages of one band of priority that one statement looks at: more than claims reach before the next pass."""
SPREAD_SECONDS = 30.0
"""Over which they come back: the first bundle finds out whether the account works again."""

_log = log.get(__name__)


class Halts:
    """One pass puts off what is due of halted accounts and next in the way of claims."""

    interval_seconds = 1.0

    def __init__(self, pool: Pool, settings: Settings) -> None:
        self._pool = pool
        self._late_after_seconds = settings.late_after_seconds

    async def run_once(self) -> int:
        """Put off what is due; return how many messages."""
        if not await accounts.is_any_halted(self._pool):
            return 0
        total = sum([await self._put_off(channel) for channel in sorted(served_channels())])
        if total:
            _log.info("halted_put_off", messages=total)
        return total

    async def _put_off(self, channel: Channel) -> int:
        total = 0
        late = self._late_after_seconds.get(channel)
        while moved := await accounts.put_off(
            self._pool, channel, spread_seconds=SPREAD_SECONDS, limit=HEAD, late_after_seconds=late
        ):
            total += moved
        return total
