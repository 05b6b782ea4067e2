"""Suppressions as people and campaigns meet them: who must not be contacted on a channel of a workspace, and why.

Owns adding by hand, releasing, listing, and the question before a launch. What vendors and recipients say is
`outbox.effects`; that a start obeys is `outbox/sql/starts.sql`. Every change names who and why, in the audit log, with
the address masked.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from config.channels import Channel
from config.database import Pool, run
from config.log import mask
from config.vocabulary import Reason
from outbox import storable
from outbox.addresses import NotAnAddress, normalise
from outbox.queries import load

_SQL = load("suppressions")

CHUNK = 2_000
"""Addresses that one statement changes or asks for."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a suppression holds: nowhere else is anybody kept from writing."""

    workspace_id: UUID
    channel: Channel


@dataclass(frozen=True, slots=True)
class Filter:
    """Which suppressions; what is None matches all."""

    workspace_id: UUID | None = None
    channel: Channel | None = None
    address: str | None = field(default=None, repr=False)
    """As anybody writes it."""
    reason: Reason | None = None
    ended: bool = False
    """Also those that were released or have expired."""


@dataclass(frozen=True, slots=True)
class Found:
    """One suppression in a list. Ordered by its first four fields."""

    workspace_id: UUID
    channel: str
    address: str = field(repr=False)
    reason: str
    source: str
    created_at: datetime
    expires_at: datetime | None
    released_at: datetime | None
    holds: bool


async def add(pool: Pool, place: Place, addresses: Sequence[str], *, actor: str, why: str) -> int:
    """Suppress addresses by hand until somebody releases them; return how many were not suppressed by hand before.

    Raises NotAnAddress, before anything is changed.
    """
    source = storable.text(f"{actor}: {why}")
    rows = _rows({written(place.channel, address) for address in addresses})
    return await _changed(pool, "add", place, rows, actor=actor, why=why, source=source, reason=Reason.MANUAL)


async def release(
    pool: Pool, place: Place, addresses: Sequence[str], *, actor: str, why: str, reason: Reason | None = None
) -> int:
    """Let addresses be contacted again: every reason that holds ends, or only the one that is named.

    Returns how many of the addresses it ended anything for. What happens afterwards suppresses them again.
    """
    rows = _rows({written(place.channel, address) for address in addresses})
    return await _changed(pool, "release", place, rows, actor=actor, why=why, reason=reason)


async def find(pool: Pool, wanted: Filter, *, limit: int, after: Found | None = None) -> list[Found]:
    """Return up to `limit` suppressions in their order, those after `after`."""
    parameters = {**asdict(wanted), "address": None, "spellings": _spellings(wanted)}
    position = {
        f"after_{name}": getattr(after, name, None) for name in ("workspace_id", "channel", "address", "reason")
    }
    return [Found(*row) for row in await run(pool, _SQL["find"], **parameters, **position, limit=limit)]


async def suppressed(pool: Pool, place: Place, addresses: Iterable[str], *, reason: Reason | None = None) -> set[str]:
    """Return those of the addresses, as they were given, that must not be contacted there now, or not for one reason.

    For campaigns, before they insert: whoever is suppressed later is found at the start. What cannot be an address is
    not suppressed.
    """
    asked: dict[str, list[str]] = {}
    for address in addresses:
        asked.setdefault(_lenient(place.channel, address).lower(), []).append(address)
    found: set[str] = set()
    keys = list(asked)
    for start in range(0, len(keys), CHUNK):
        piece = keys[start : start + CHUNK]
        rows = await run(pool, _SQL["suppressed"], addresses=piece, reason=reason, **_named(place))
        found.update(given for (key,) in rows for given in asked[key])
    return found


async def revealed(pool: Pool, wanted: Filter, count: int, *, actor: str) -> None:
    """Note that somebody saw `count` whole addresses."""
    detail = {"suppressions": count, "channel": wanted.channel, "reason": wanted.reason}
    asked = mask(wanted.address) if wanted.address else None
    await run(
        pool, _SQL["revealed"], actor=actor, workspace_id=wanted.workspace_id, subject=asked, detail=_json(detail)
    )


def written(channel: Channel, address: str) -> str:
    """Return the address as suppressions keep it, but for its capitals. Raises NotAnAddress."""
    return normalise(channel, address)


async def _changed(pool: Pool, name: str, place: Place, rows: Sequence[dict[str, str]], **said: Any) -> int:
    changed = 0
    for start in range(0, len(rows), CHUNK):
        piece = _json(rows[start : start + CHUNK])
        found = await run(pool, _SQL[name], rows=piece, **_named(place), **said)
        changed += len({row[0] for row in found})
    return changed


def _rows(addresses: Collection[str]) -> list[dict[str, str]]:
    return [{"address": address, "masked": mask(address)} for address in sorted(addresses)]


def _named(place: Place) -> dict[str, Any]:
    return {"workspace_id": place.workspace_id, "channel": place.channel}


def _spellings(wanted: Filter) -> list[str] | None:
    """Return what the address may stand as: which kind of address it is, its channel tells, or it is tried."""
    if wanted.address is None:
        return None
    channels = [wanted.channel] if wanted.channel else [Channel.EMAIL, Channel.SMS]
    return sorted({_lenient(channel, wanted.address) for channel in channels})


def _lenient(channel: Channel, address: str) -> str:
    try:
        return normalise(channel, address)
    except NotAnAddress:
        return address


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()
