"""Polls: when the vendor is asked what became of a message that it took, where it does not promise to tell.

Owns the time of a message's next look (`channel_outbox.poll_at`) and nothing else of it: what a look brings is an event
(`outbox.events`). Refuses leases: a claim moves the next look ahead, and whoever dies with it costs one interval, of
the last look as well: that one is made when the vendor has answered. The first look is set by the statements that make
a message `sent`.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

import orjson

from config.catalog import CATALOG
from config.channels import CHANNELS, Channel, Polls
from config.database import Pool, run
from config.settings import Settings
from outbox.queries import load

_SQL = load("polls")

POLLED = [name for name, facts in CATALOG.items() if not facts.calls_back]
"""The vendors that are asked."""


@dataclass(frozen=True, slots=True)
class Sent:
    """One message, and the attempt of it that its vendor is asked about."""

    id: UUID
    provider: str
    account: str
    """Fingerprint of the credentials it went out under."""
    account_tenant_id: UUID
    provider_message_id: str
    is_last: bool
    """It is past the horizon: what the vendor says now is all that it will."""


def first_look_seconds(provider: str, channel: Channel, settings: Settings) -> float | None:
    """Return how long after a send the vendor is asked first; None where it is not asked."""
    if provider not in POLLED or CHANNELS[channel].polls is None:
        return None
    return patience_seconds(channel, settings)


def patience_seconds(channel: Channel, settings: Settings) -> float:
    """Return the channel's own patience, or what the environment puts in its place."""
    return settings.poll_after_seconds or _of(channel).patience_seconds


async def claim(pool: Pool, channel: Channel, *, patience_seconds: float, limit: int) -> list[str]:
    """Take messages of a channel that are due for a look, the longest due first; return their ids."""
    limits = {"patience_seconds": patience_seconds, "horizon_seconds": _of(channel).horizon_seconds, "limit": limit}
    return [row[0] for row in await run(pool, _SQL["claim"], channel=channel.value, **limits)]


async def release(pool: Pool, ids: Sequence[str], *, delay_seconds: float) -> None:
    """Give back what Redis did not take."""
    await run(pool, _SQL["release"], ids=list(ids), delay_seconds=delay_seconds)


async def read(pool: Pool, channel: Channel, ids: Sequence[UUID]) -> list[Sent]:
    """Return what can be asked of messages of a channel that are still `sent`."""
    limits = {"polled": POLLED, "horizon_seconds": _of(channel).horizon_seconds}
    return [Sent(*row) for row in await run(pool, _SQL["read"], ids=list(ids), **limits)]


async def postpone(pool: Pool, channel: Channel, delays: Mapping[UUID, float]) -> None:
    """Put off looks that could not be had, each by its seconds or by a quarter of the message's age."""
    rows = [{"id": id_, "delay_seconds": seconds} for id_, seconds in delays.items()]
    horizon = _of(channel).horizon_seconds
    await run(pool, _SQL["postpone"], rows=orjson.dumps(rows).decode(), horizon_seconds=horizon)


async def give_up(pool: Pool, ids: Sequence[UUID]) -> None:
    """Ask no more about messages of which no vendor can tell, or not in time; they stay `sent`."""
    await run(pool, _SQL["give_up"], ids=list(ids))


async def waiting(pool: Pool, limit: int) -> dict[str, int]:
    """Count the messages whose vendor will be asked, each channel up to `limit`: due, later."""
    waiting: Counter[str] = Counter()
    for channel in (channel for channel, facts in CHANNELS.items() if facts.polls):
        waiting.update(dict(await run(pool, _SQL["waiting"], channel=channel.value, limit=limit)))
    return dict(waiting)


def _of(channel: Channel) -> Polls:
    polls = CHANNELS[channel].polls
    if polls is None:
        raise ValueError(f"nothing is asked on {channel}")
    return polls
