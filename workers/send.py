"""What an actor does with a bundle: read, render, start, launch.

Owns the order of these steps. When it returns, the start has committed and Redis is not needed any more: the requests
go on beside it, and the lease in the ledger stands for them.
"""

import asyncio
from collections.abc import Sequence
from uuid import UUID

from admission.accounts import HALT_SECONDS
from config import log
from config.channels import CHANNELS, Channel
from config.database import AWAY
from config.failpoints import passing
from outbox import bundles, claims, polls, starts
from outbox.retry import Policy
from providers.base import Later, SendError
from workers.admit import Waiting, admit
from workers.compose import Composed, Composition, requests_of
from workers.flight import LiveBatch
from workers.lease import Lease
from workers.outcomes import Flight, Sending
from workers.prepare import Group, Preparation, Prepared, Rendering, by_provider
from workers.runtime import Runtime

CONFIRM_SECONDS = 0.2

_log = log.get(__name__)


async def send_bundle(runtime: Runtime, channel: Channel, token: UUID, ids: Sequence[str]) -> None:
    """Send those messages of a bundle that are still its claim and that no refusal holds."""
    with runtime.gate.entered():
        await _send(runtime, channel, token, ids)


async def _send(runtime: Runtime, channel: Channel, token: UUID, ids: Sequence[str]) -> None:
    async with bundles.in_hand(runtime.pool, runtime.presence.id, token, ids):
        rows = await starts.read(runtime.pool, channel, ids, token)
        prepared = await _prepare(runtime, channel, rows)
    await _refuse(runtime, channel, token, prepared)
    if not prepared.groups:
        return
    # The budget is taken before the start: what has started begins at once, with its whole lease before it.
    taken = sum(map(requests_of, prepared.groups))
    await runtime.budget.take(taken)
    launched = 0
    try:
        if runtime.gate.closed:
            await claims.release(runtime.pool, list(ids), token)
            return
        # A vendor may have gone away while this bundle waited for its share.
        admitted, waiting = await admit(runtime.breaker, prepared.groups)
        await _put_off(runtime, channel, token, waiting)
        launched = await _start(runtime, channel, token, admitted)
    finally:
        runtime.budget.give_back(taken - launched)


async def _prepare(runtime: Runtime, channel: Channel, rows: Sequence[starts.Claimed]) -> Preparation:
    result = Preparation()
    for name, of_provider in by_provider(channel, rows, result).items():
        tenants = {row.tenant_id for row in of_provider if row.tenant_id}
        accounts = await runtime.accounts.resolve(name, tenants)
        rendering = Rendering(
            channel, runtime.providers[name], accounts, result, allowed=runtime.allowed, links=runtime.links
        )
        for row in of_provider:
            rendering.add(row)
    return result


async def _refuse(runtime: Runtime, channel: Channel, token: UUID, prepared: Preparation) -> None:
    if prepared.rejected:
        await starts.reject(
            runtime.pool,
            token,
            [{"id": row.id, "error_code": why.code, "error_message": why.reason} for row, why in prepared.rejected],
        )
    await _put_off(runtime, channel, token, prepared.halted)


async def _put_off(runtime: Runtime, channel: Channel, token: UUID, waiting: Waiting) -> None:
    """Put messages off whose account cannot send now, each by a time of its own: they must not come back at once."""
    if not waiting:
        return
    policy = Policy.of(channel, runtime.settings)
    await starts.defer(
        runtime.pool,
        token,
        [
            {
                "id": row.id,
                "error_code": why.code,
                "error_message": why.reason,
                "delay_seconds": policy.capacity_delay_seconds(_wait_seconds(why)),
            }
            for row, why in waiting
        ],
    )


def _wait_seconds(why: SendError) -> float:
    return (why.after_seconds or 0.0) if isinstance(why, Later) else HALT_SECONDS


async def _start(runtime: Runtime, channel: Channel, token: UUID, groups: Sequence[Group]) -> int:
    """Start the groups in one transaction and launch what was started; return how many requests began."""
    if not groups:
        return 0
    lease = runtime.new_lease()
    composition = Composition(runtime.providers, groups)
    try:
        started = await starts.start(
            runtime.pool,
            channel,
            token,
            [_candidate(group, index) for group in groups for index in range(len(group.members))],
            composition.batches,
            worker=runtime.presence.id,
            lease=lease.token,
            lease_seconds=lease.seconds,
            default_provider=CHANNELS[channel].default_provider,
        )
    except AWAY:
        started = await _confirmed(runtime, lease)
    _give_up_probes(runtime, groups, composition.composed if started else ())
    if not started:
        return 0
    passing("after_start")
    policy = Policy.of(channel, runtime.settings)
    for composed in composition.composed:
        group = composed.group
        flight = Flight(
            group.send_key,
            channel,
            lease.of_batch(),
            group.account,
            policy,
            probe=group.probe,
            poll_after_seconds=polls.first_look_seconds(group.account.provider, channel, runtime.settings),
        )
        runtime.sender.launch(_live(runtime, flight, composed))
    return sum(len(composed.requests) for composed in composition.composed)


async def _confirmed(runtime: Runtime, lease: Lease) -> dict[UUID, int]:
    """Ask until the database answers whether a start has committed whose acknowledgement was lost.

    What has started must be sent, or be known not to have been; after the lease it is the rescuer's.
    """
    while lease.allows_request():
        try:
            return await starts.confirm(runtime.pool, lease.token)
        except AWAY as error:
            _log.warning("start_unconfirmed", error=type(error).__name__)
            await asyncio.sleep(CONFIRM_SECONDS)
    return {}


def _give_up_probes(runtime: Runtime, groups: Sequence[Group], composed: Sequence[Composed]) -> None:
    """A probe that was refused at its start lets another message of its account try."""
    launched = {one.group.send_key for one in composed}
    for group in groups:
        if group.probe and group.send_key not in launched:
            runtime.breaker.give_up(group.account)


def _candidate(group: Group, index: int) -> starts.Candidate:
    member = group.members[index]
    return starts.Candidate(
        member.row.id,
        member.address,
        member.row.seen,
        group.send_key,
        member.part.sender,
        group.account.fingerprint,
        group.account.tenant_id,
    )


def _live(runtime: Runtime, flight: Flight, composed: Composed) -> LiveBatch:
    members = {member.row.id: _sending(member) for member in composed.members}
    return LiveBatch(flight, runtime.providers[flight.account.provider], composed.requests, members)


def _sending(member: Prepared) -> Sending:
    row = member.row
    return Sending(
        row.id,
        member.address,
        member.part.sender,
        row.counted,
        tried_before=row.attempts > 0,
        workspace_id=row.workspace_id or row.tenant_id,
        campaign_id=row.campaign_id,
    )
