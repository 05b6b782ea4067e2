"""Replays: a batch whose outcome nobody knows goes to its vendor once more, byte for byte under its send key.

Only for vendors that honour the key, only under the credentials of the first time, only within the time for which
the vendor keeps keys. The vendor then answers as it did, or would have, the first time.
"""

from uuid import UUID

from admission.accounts import HALT_SECONDS
from config import log
from config.channels import Channel
from outbox import batches, polls
from outbox.retry import Policy
from providers.base import Account, Halted
from workers.compose import restored
from workers.flight import LiveBatch
from workers.lease import Lease
from workers.outcomes import Flight, Sending
from workers.runtime import Runtime

_log = log.get(__name__)


async def replay_batch(runtime: Runtime, channel: Channel, token: UUID, send_key: UUID) -> None:
    """Take one batch over from the queue and send it once more."""
    with runtime.gate.entered():
        await _replay(runtime, channel, token, send_key)


async def _replay(runtime: Runtime, channel: Channel, token: UUID, send_key: UUID) -> None:
    await runtime.budget.take(1)
    launched = False
    try:
        if runtime.gate.closed:
            await batches.postpone_replays(runtime.pool, [send_key], token, delay_seconds=0)
            return
        lease = runtime.new_lease()
        found = await batches.begin_replay(
            runtime.pool, send_key, token, worker=runtime.presence.id, lease=lease.token, lease_seconds=lease.seconds
        )
        if found is not None:
            launched = await _launch(runtime, channel, send_key, found, lease)
    finally:
        if not launched:
            runtime.budget.give_back(1)


async def _launch(runtime: Runtime, channel: Channel, send_key: UUID, found: batches.Replay, lease: Lease) -> bool:
    account = await _same_account(runtime, found)
    if account is None:
        _log.warning("replay_postponed", send_key=str(send_key), provider=found.provider)
        await batches.withdraw_replay(runtime.pool, send_key, lease.token, delay_seconds=HALT_SECONDS)
        return False
    verdict = (await runtime.breaker.ask([account]))[account.fingerprint]
    if verdict.why is not None and not verdict.probe:
        delay = Policy.of(channel, runtime.settings).capacity_delay_seconds(verdict.why.after_seconds)
        await batches.withdraw_replay(runtime.pool, send_key, lease.token, delay_seconds=delay)
        return False
    provider = runtime.providers[found.provider]
    request = provider.request(restored(found.body), "", found.member_ids, account, send_key)
    # What support, an event or an earlier answer has decided meanwhile is not decided again.
    members = {
        UUID(id_): Sending(UUID(id_), None, sender, counted=0, tried_before=True)
        for id_, sender in found.senders.items()
    }
    policy, wait = (
        Policy.of(channel, runtime.settings),
        polls.first_look_seconds(found.provider, channel, runtime.settings),
    )
    flight = Flight(
        send_key, channel, lease, account, policy, tainted=True, probe=verdict.probe, poll_after_seconds=wait
    )
    runtime.sender.launch(LiveBatch(flight, provider, [request], members, replays=found.replays))
    return True


async def _same_account(runtime: Runtime, found: batches.Replay) -> Account | None:
    """Return the account of the first time; None where it is halted, or where its credentials are others now.

    Under another key the vendor would not know the send key, and the replay would be a second message.
    """
    tenant = found.account_tenant_id
    account = (await runtime.accounts.resolve(found.provider, {tenant}))[tenant]
    if isinstance(account, Halted) or account.fingerprint != found.account:
        return None
    return account
