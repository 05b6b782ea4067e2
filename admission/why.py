"""Why has it not gone out? For one message: what it waits for now, and when it goes if nothing changes.

Owns the answer that support, ops and programs get, and its order: what holds longest comes first. Refuses to change
anything, and to guess: what only a person ends has no time.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from uuid import UUID

from admission.open_breakers import OpenBreaker
from config.catalog import served_channels
from config.channels import Channel
from config.database import Pool
from outbox import accounts, explain, identity, presence
from outbox.addresses import NotAnAddress, normalise
from outbox.explain import Facts, Open
from outbox.readiness import NOT_OURS
from outbox.states import STATUSES, Status
from outbox.unknowns import Patience
from providers.base import PROVIDER_WIDE

_KINDS = {
    "pause": ("paused", "is paused"),
    "hold": ("held", "is held back for a release"),
    "adoption": ("adoption", "was there before the fleet, and waits for fleet db adopt"),
    "cancel": ("being_cancelled", "is being cancelled"),
}


@dataclass(frozen=True, slots=True)
class Wait:
    """One thing that a message waits for."""

    code: str
    says: str
    until: datetime | None
    """None: nobody can tell, or a person must act."""


@dataclass(frozen=True, slots=True)
class Why:
    """The answer."""

    id: UUID
    status: str | None
    says: str
    waits: Sequence[Wait]
    """What holds it, longest first; empty where it has found its end."""
    goes_at: datetime | None
    """When the next thing happens to it if nothing changes; None where that is not known, or nothing will."""


@dataclass(frozen=True, slots=True)
class World:
    """What is known besides the ledger."""

    patience: Patience
    breakers: Sequence[OpenBreaker] | None
    """Those that are open; None where Redis is away."""


async def why(pool: Pool, id_: UUID, world: World) -> Why | None:
    """Explain one message; None where there is none."""
    message = await explain.facts(pool, id_)
    if message is None:
        return None
    waits: list[Wait] = []
    for ask in _ASKED.get(message.status or "", ()):
        waits += await ask(pool, message, world)
    waits.sort(key=lambda one: (one.until is None, one.until or message.now), reverse=True)
    if not waits:
        return Why(message.id, message.status, _ended(message), (), None)
    goes_at = None if any(one.until is None for one in waits) else waits[0].until
    return Why(message.id, message.status, waits[0].says + _too_late(message, waits[0].until), waits, goes_at)


Asked = Callable[[Pool, Facts, World], Awaitable[list[Wait]]]


async def _its_time(_pool: Pool, message: Facts, _world: World) -> list[Wait]:
    if message.due_at <= message.now:
        return []
    if message.error_code is None:
        return [Wait("not_due", f"it is due at {_moment(message.due_at)}", message.due_at)]
    reason = message.error_message or message.error_code
    code = "retry" if message.attempts else "put_off"
    return [Wait(code, f"it is put off until {_moment(message.due_at)}: {reason}", message.due_at)]


async def _pauses(pool: Pool, message: Facts, _world: World) -> list[Wait]:
    return [
        Wait(
            _KINDS[one.kind][0],
            f"{one.scope} {_KINDS[one.kind][1]} by {one.created_by}: {one.reason}"
            + (f" (until {_moment(one.until)})" if one.until else ""),
            one.until,
        )
        for one in await explain.pauses(pool, message)
    ]


async def _account(pool: Pool, message: Facts, world: World) -> list[Wait]:
    """A halt of its account, and a breaker that is open."""
    tenant, provider = await _account_tenant(pool, message), message.provider or ""
    waits = []
    if halt := await explain.halt(pool, provider, tenant):
        waits.append(Wait("halted", f"its {provider} account is halted: {halt[0]}", halt[1]))
    for one in world.breakers or ():
        if (one.provider, one.tenant_id) == (provider, str(tenant)):
            says = f"{provider} has not worked for its account since {_moment(one.since)} ({one.error})"
            waits.append(Wait("breaker_open", says, one.until))
    return waits


async def _servers(pool: Pool, _message: Facts, world: World) -> list[Wait]:
    """Nothing at all goes out from a copy of the database, or without Redis."""
    waits = [] if await identity.is_recognised(pool) else [Wait("not_ours", NOT_OURS, None)]
    return waits + (
        [Wait("redis_away", "Redis does not answer: nothing is claimed", None)] if world.breakers is None else []
    )


async def _workers(pool: Pool, message: Facts, _world: World) -> list[Wait]:
    channel = message.channel or ""
    if channel not in {one.value for one in served_channels()}:
        return [Wait("not_served", f"no provider of this version serves {channel or 'an empty channel'}", None)]
    if (await presence.serving(pool)).get(channel):
        return []
    return [Wait("no_worker", f"no worker serves {channel}: python -m workers {channel}", None)]


async def _recipient(pool: Pool, message: Facts, world: World) -> list[Wait]:
    """An earlier message to its recipient whose outcome is looked up."""
    address, tenant = _address(message), await _account_tenant(pool, message)
    found = await explain.unknowns(pool, message, address, tenant)
    return [
        Wait(
            "recipient_unknown",
            f"it waits until it is known whether message {one.message_id} to the same recipient went out",
            _looked_at(one, world.patience),
        )
        for one in found
        if one.message_id != message.id
    ]


async def _turn(pool: Pool, message: Facts, _world: World) -> list[Wait]:
    """It is due: how many go before it."""
    if message.due_at > message.now:
        return []
    queue = await explain.queue(pool, message)
    ahead = f"{queue.ahead}{'+' if queue.ahead >= explain.COUNT_LIMIT else ''} messages are due before it"
    if not queue.per_minute:
        return [Wait("its_turn", f"it is due, and {ahead}", message.now)]
    seconds = ceil(60 * queue.ahead / queue.per_minute)
    says = f"it is due, and {ahead}; at {queue.per_minute} a minute that takes {seconds} s"
    return [Wait("its_turn", says, message.now + timedelta(seconds=seconds))]


async def _claimed(pool: Pool, message: Facts, _world: World) -> list[Wait]:
    by = await explain.holder(pool, message)
    says = f"worker {by} prepares it" if by else "it is on its way to a worker, in Redis"
    until = message.lease_expires_at
    return [Wait("claimed", says + (f"; the claim runs out at {_moment(until)}" if until else ""), until)]


async def _with_vendor(pool: Pool, message: Facts, _world: World) -> list[Wait]:
    batch, by = await explain.batch(pool, message), await explain.holder(pool, message)
    until = batch[0] if batch else message.now
    says = (
        f"its request is with {message.provider}, made by worker {by or '(gone)'}; its lease ends at {_moment(until)}"
    )
    return [Wait("with_vendor", says, until)]


async def _outcome(pool: Pool, message: Facts, world: World) -> list[Wait]:
    """What will tell whether its vendor took it."""
    if batch := await explain.batch(pool, message):
        return [Wait("replay", f"the same request is made again at {_moment(batch[0])}", batch[0])]
    tenant = await _account_tenant(pool, message)
    for one in await explain.unknowns(pool, message, None, tenant):
        if one.message_id == message.id and one.waits_for == "look":
            at = _looked_at(one, world.patience)
            return [Wait("look_up", f"{message.provider}'s record is looked at, next at {_moment(at)}", at)]
    word = "fleet messages arrived, or fleet messages send-again"
    return [Wait("person", f"nobody can tell whether {message.provider} took it: a person decides ({word})", None)]


_ASKED: dict[str, Sequence[Asked]] = {
    Status.SCHEDULED: (_its_time, _pauses, _account, _servers, _workers, _recipient, _turn),
    Status.QUEUED: (_claimed, _pauses, _account, _servers, _workers, _recipient),
    Status.SENDING: (_with_vendor,),
    Status.UNKNOWN: (_outcome,),
}


def _ended(message: Facts) -> str:
    if message.status not in STATUSES:
        return f"its status is {message.status or 'empty'}, which the fleet does not claim; correct the row"
    at = f" at {_moment(message.ended_at)}" if message.ended_at else ""
    why = f": {message.error_message or message.error_code}" if message.error_code else ""
    return f"it is {message.status}{at}{why}"


def _too_late(message: Facts, until: datetime | None) -> str:
    if message.status != Status.SCHEDULED or message.expires_at is None:
        return ""
    if until is not None and until < message.expires_at:
        return ""
    return f"; it expires at {_moment(message.expires_at)}, and fails then"


def _looked_at(one: Open, patience: Patience) -> datetime:
    waits = patience.waits_seconds
    at = one.ended_at + timedelta(seconds=waits[min(one.looks, len(waits) - 1)])
    return max(at, one.not_before) if one.not_before else at


async def _account_tenant(pool: Pool, message: Facts) -> UUID:
    """Whose account it goes out under: its tenant's own where there is one."""
    if message.tenant_id is None or message.provider is None:
        return PROVIDER_WIDE
    own = await accounts.settings_of(pool, message.provider, [message.tenant_id])
    return message.tenant_id if own else PROVIDER_WIDE


def _address(message: Facts) -> str | None:
    try:
        return normalise(Channel(message.channel or ""), message.address or "")
    except (NotAnAddress, ValueError):
        return None


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"
