"""Polling: a vendor that does not promise callbacks is asked what became of messages that it took.

Owns the conversation, few requests at a time, so that no look stands in the way of a send. Refuses to change a message:
what the vendor says is stored as the events that its callbacks would have been, and applied like them.
"""

import asyncio
from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from time import monotonic
from uuid import UUID

from admission.evidence import pause_seconds
from admission.reports import report
from config import log
from config.channels import Channel
from outbox import neighbours, polls
from outbox.events import Report
from outbox.polls import Sent
from outbox.retry import LONGEST_SECONDS
from providers.base import Account, Halted, Later, Rejected, SendError
from workers.runtime import Runtime

AT_ONCE = 5
"""Requests under way for one channel in one process."""
BUNDLE_SECONDS = 5.0
"""How long a bundle may hold its thread; what was not asked by then is put off."""
POSTPONED_SECONDS = 5.0
UNAUTHORIZED = 401
"""The one refusal of a look that is certainly one of a send as well: a key may be allowed to send and not to read."""

_Whose = tuple[str, UUID]
_log = log.get(__name__)


async def poll(runtime: Runtime, channel: Channel, ids: Sequence[str]) -> None:
    """Ask about the messages of one bundle that are still `sent`, one bundle of a channel at a time in a process."""
    if channel in runtime.polling:
        await polls.postpone(runtime.pool, channel, dict.fromkeys(map(UUID, ids), POSTPONED_SECONDS))
        return
    runtime.polling.add(channel)
    try:
        await _poll(runtime, channel, [UUID(id_) for id_ in ids])
    finally:
        runtime.polling.discard(channel)


async def _poll(runtime: Runtime, channel: Channel, ids: Sequence[UUID]) -> None:
    sent = await polls.read(runtime.pool, channel, ids)
    asking = _Asking(runtime, channel, deque(sent), await _accounts(runtime, sent))
    await asyncio.gather(*(asking.run() for _ in range(AT_ONCE)))
    told = await _store(runtime, asking)
    for account, why in asking.refused.values():
        await runtime.accounts.halt(account, why)
    later = asking.later | {one.id: POSTPONED_SECONDS for one in asking.waiting}
    if later:
        await polls.postpone(runtime.pool, channel, later)
    # Of what was not read the end came meanwhile, or nobody can be asked; the first is no longer `sent`.
    if gone := [*asking.gone, *set(ids).difference(one.id for one in sent)]:
        await polls.give_up(runtime.pool, gone)
    _log.info("polled", channel=channel.value, asked=asking.asked, told=told, put_off=len(later))


async def _store(runtime: Runtime, asking: "_Asking") -> int:
    """Store what was said, message by message; of how many. What the database refuses is asked for again."""
    if not asking.told:
        return 0
    refusals = await neighbours.store(runtime.pool, [neighbours.said(reports) for reports in asking.told.values()])
    refused = {id_ for id_, why in zip(asking.told, refusals, strict=True) if why}
    asking.gone = [id_ for id_ in asking.gone if id_ not in refused]
    return len(asking.told) - len(refused)


async def _accounts(runtime: Runtime, sent: Collection[Sent]) -> dict[_Whose, Account | SendError]:
    """Return the account of each message that may be asked now, or why it may not."""
    found: dict[_Whose, Account | SendError] = {}
    for provider in {one.provider for one in sent}:
        tenants = {one.account_tenant_id for one in sent if one.provider == provider}
        resolved = await runtime.accounts.resolve(provider, tenants)
        found |= {(provider, tenant): account for tenant, account in resolved.items()}
    usable = [account for account in found.values() if isinstance(account, Account)]
    verdicts = await runtime.breaker.ask(usable) if usable else {}
    for whose, account in found.items():
        if isinstance(account, Account) and (why := verdicts[account.fingerprint].why):
            if verdicts[account.fingerprint].probe:
                runtime.breaker.give_up(account)  # a send finds out whether the vendor works
            found[whose] = why
    return found


@dataclass(slots=True)
class _Asking:
    """One bundle at work: what waits, and what was heard so far. Several `run` at once."""

    runtime: Runtime
    channel: Channel
    waiting: deque[Sent]
    accounts: dict[_Whose, Account | SendError]
    until: float = field(default_factory=lambda: monotonic() + BUNDLE_SECONDS)
    asked: int = 0
    told: dict[UUID, Sequence[Report]] = field(default_factory=dict)
    """By message; none has nothing."""
    gone: list[UUID] = field(default_factory=list)
    """The vendor has no record of them any more, or has answered for the last time."""
    later: dict[UUID, float] = field(default_factory=dict)
    """Could not be asked now; in seconds, when they can."""
    refused: dict[str, tuple[Account, Halted]] = field(default_factory=dict)
    """By fingerprint: accounts whose credentials the vendor does not take."""

    async def run(self) -> None:
        """Ask about one message after another, until none waits or the time is over."""
        while self.waiting and monotonic() < self.until:
            one = self.waiting.popleft()
            account = self.accounts[one.provider, one.account_tenant_id]
            if isinstance(account, SendError):
                self._put_off(one, account)
            else:
                await self._try(one, account)

    async def _try(self, one: Sent, account: Account) -> None:
        try:
            if reports := await self._ask(one, account):
                self.told[one.id] = reports
            if one.is_last:
                self.gone.append(one.id)
        except Rejected:
            # Under other credentials than it went out under, not to be found does not mean to be gone.
            if account.fingerprint == one.account:
                self.gone.append(one.id)
        except SendError as why:
            self._put_off(one, why)
            self._heed(one, account, why)
        except Exception:  # noqa: BLE001 - one answer that breaks our reading must not cost the others theirs
            _log.exception("poll_crashed", provider=one.provider, message_id=str(one.id))

    async def _ask(self, one: Sent, account: Account) -> list[Report]:
        """Return what the vendor says of one message; nothing while it has no end. Raises SendError."""
        provider = self.runtime.providers[one.provider]
        request = provider.status_request(one.provider_message_id, self.channel, account)
        await self.runtime.budget.take(1)
        try:
            response = await self.runtime.client.send(request)
        finally:
            self.runtime.budget.give_back(1)
        self.asked += 1
        return [report(account, event, one.id) for event in provider.status_events(self.channel, response)]

    def _put_off(self, one: Sent, why: SendError) -> None:
        """Ask again as soon as the vendor may be asked. What is halted, maybe for days, keeps its next look."""
        if not isinstance(why, Halted):
            asked = why.after_seconds if isinstance(why, Later) else None
            self.later[one.id] = min(max(POSTPONED_SECONDS, asked or 0.0), LONGEST_SECONDS)

    def _heed(self, one: Sent, account: Account, why: SendError) -> None:
        """Leave an account alone that its vendor refuses or slows down; where sends are meant too, all of us."""
        if isinstance(why, Halted | Later):
            self.accounts[one.provider, one.account_tenant_id] = why
        if isinstance(why, Halted) and why.http_status == UNAUTHORIZED:
            self.refused[account.fingerprint] = (account, why)
        if pause_seconds(why):
            self.runtime.breaker.note(account, why)
