"""Moments on the command line: how long ago, or when.

Owns the spelling, one for every group of commands. Refuses moments that no calendar has with a sentence.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import click

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


class Moment(click.ParamType[datetime]):
    """A moment: `2h` ago, `30m`, `7d`, or an ISO date and time (UTC where it has no zone)."""

    name = "moment"
    direction = -1
    """Which way a length of time is counted from now."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Read it, or say how it is written."""
        if isinstance(value, datetime):
            return value
        try:
            return _read(value, self.direction)
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is no moment; write 2h, 30m, 7d or 2026-01-31T09:00", param, ctx)


class Until(Moment):
    """A moment to come: in `2h`, `30m`, `7d`, or an ISO date and time (UTC where it has no zone)."""

    name = "until"
    direction = 1

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Read it; a moment that has passed is refused."""
        moment = super().convert(value, param, ctx)
        if moment <= datetime.now(UTC):
            self.fail(f"{value!r} has passed; write 2h, 30m, 7d or a date to come", param, ctx)
        return moment


def _read(text: str, direction: int) -> datetime:
    count, unit = text[:-1], text[-1:]
    if unit in _UNITS and count.isascii() and count.isdecimal():
        return datetime.now(UTC) + direction * timedelta(seconds=int(count) * _UNITS[unit])
    moment = datetime.fromisoformat(text)
    # Also where it has a zone: one that is before the first year in UTC is none that can be compared.
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
