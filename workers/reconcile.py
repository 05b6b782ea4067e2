"""Reconciling: the vendor is asked what became of attempts whose outcome nobody knows.

Owns a bundle of look-ups: several recipients are asked about at once, and what is found is written one by one. Refuses
to decide what the record means: the ledger does, with what it knows in that moment (`outbox.unknowns`).
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import monotonic
from uuid import UUID

import orjson

from admission.evidence import pause_seconds
from config import log
from config.channels import Channel
from config.database import AWAY
from config.failpoints import passing
from outbox import unknowns
from outbox.retry import LONGEST_SECONDS, Policy
from outbox.unknowns import Finding, Recipient, Unknown, Verdict
from providers.base import Account, Halted, Later, Message, Provider, Rejected, SendError
from providers.lookup import Record
from workers.matching import Sought, match
from workers.record import VendorsRecord
from workers.runtime import Runtime

AT_ONCE = 10
"""Recipients asked about at once, for one channel in one process."""
BUNDLE_SECONDS = 5.0
"""After so long a bundle begins with no further recipient, and puts off who is left: it holds a thread."""
BUSY_SECONDS = 1.0
"""How long what this process has no time for is put off: about what a bundle takes."""
POSTPONED_SECONDS = 5.0
HALTED_SECONDS = 60.0

_log = log.get(__name__)


class _OtherCredentials(Halted):
    """Whoever holds the credentials now cannot be asked about what went out under others."""


async def look_up(runtime: Runtime, channel: Channel, token: UUID, ids: Sequence[str]) -> None:
    """Look the attempts of one bundle up that are still its claim, one bundle of a channel at a time in a process.

    A look may take seconds, and a thread that waits for it sends nothing.
    """
    if channel in runtime.looking:
        await unknowns.postpone(runtime.pool, [UUID(id_) for id_ in ids], token, delay_seconds=BUSY_SECONDS)
        return
    runtime.looking.add(channel)
    try:
        await _look_up(runtime, token, ids)
    finally:
        runtime.looking.discard(channel)


async def _look_up(runtime: Runtime, token: UUID, ids: Sequence[str]) -> None:
    """Look at one recipient after another, several at a time. Raises what keeps the ledger from being asked."""
    due = await unknowns.read(runtime.pool, ids, token)
    looking = _Looking(runtime, token, deque(due.items()), VendorsRecord(runtime))
    ended = await asyncio.gather(*(looking.run() for _ in range(AT_ONCE)), return_exceptions=True)
    if errors := [error for error in ended if error]:
        raise errors[0]
    if left := [id_ for _, ids_ in looking.waiting for id_ in ids_]:
        await unknowns.postpone(runtime.pool, left, token, delay_seconds=BUSY_SECONDS)


@dataclass(slots=True)
class _Looking:
    """One bundle at work. Several `run` at once."""

    runtime: Runtime
    token: UUID
    waiting: deque[tuple[Recipient, list[UUID]]]
    record: VendorsRecord
    until: float = field(default_factory=lambda: monotonic() + BUNDLE_SECONDS)
    ledger: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held in a transaction: all at once would take every connection of the process from its settlements."""
    closed: dict[str, SendError] = field(default_factory=dict)
    """By fingerprint: accounts that their vendor refuses or slows down, left alone for the rest of the bundle."""

    async def run(self) -> None:
        """Look at one recipient after another, until none waits or the time is over."""
        while self.waiting and monotonic() < self.until:
            recipient, due = self.waiting.popleft()
            try:
                await self._try(recipient, due)
            except AWAY:
                raise
            except Exception:  # noqa: BLE001 - one record that breaks our reading must not cost the others their look
                _log.exception("look_crashed", provider=recipient.provider, attempts=len(due))

    async def _try(self, recipient: Recipient, due: Sequence[UUID]) -> None:
        """Look, and put off what cannot be looked up now."""
        try:
            await self._look(recipient, frozenset(due))
        except _OtherCredentials as why:
            whose = (self.runtime.pool, due, self.token, self.runtime.patience)
            await unknowns.leave(*whose, code=why.code, reason=why.reason, delay_seconds=HALTED_SECONDS)
        except SendError as why:
            _log.warning("look_postponed", provider=recipient.provider, attempts=len(due), code=why.code)
            await unknowns.postpone(self.runtime.pool, due, self.token, delay_seconds=_delay_seconds(why))

    async def _look(self, recipient: Recipient, due: frozenset[UUID]) -> None:
        """Ask about one recipient and write what was found. Raises SendError where the vendor cannot be asked now."""
        account = await self._account(recipient)
        async with self.ledger:
            asked = await unknowns.members(self.runtime.pool, recipient)
        resolved = None
        if asked:
            records = await self._ask(recipient, account, asked)
            passing("in_reconciler")
            looked = due & {one.attempt_id for one in asked}
            judge = _Judge(self.runtime.providers[recipient.provider], account, looked, records)
            async with self.ledger:
                resolved = await self._resolve(recipient, records, judge)
        if resolved is None:
            await unknowns.postpone(self.runtime.pool, list(due), self.token, delay_seconds=POSTPONED_SECONDS)
        else:
            _log.info("looked_up", provider=recipient.provider, attempts=len(asked), resolved=resolved)

    async def _account(self, recipient: Recipient) -> Account:
        """Return the account under which the attempts were made. Raises SendError where it cannot be asked now.

        Another's record would show no trace of them.
        """
        tenant = recipient.account_tenant_id
        account = (await self.runtime.accounts.resolve(recipient.provider, {tenant}))[tenant]
        if isinstance(account, Halted):
            raise account
        if account.fingerprint != recipient.account:
            raise _OtherCredentials("other_credentials", "the account's credentials have changed since the attempt")
        verdict = (await self.runtime.breaker.ask([account]))[account.fingerprint]
        if verdict.probe:
            self.runtime.breaker.give_up(account)  # a send finds out whether the vendor works
        # That the vendor did not work is no reason not to ask: what a look finds may be all that is left to do.
        if verdict.why and verdict.word == "blocked":
            raise verdict.why
        return account

    async def _ask(self, recipient: Recipient, account: Account, asked: Sequence[Unknown]) -> list[Record]:
        """Read the vendor's record. Raises SendError, and then heeds it for the whole account."""
        if why := self.closed.get(account.fingerprint):
            raise why
        try:
            return await self.record.of(recipient, account, asked)
        except (Halted, Later) as why:
            self.closed[account.fingerprint] = why
            if pause_seconds(why):
                self.runtime.breaker.note(account, why)
            raise

    async def _resolve(self, recipient: Recipient, records: Sequence[Record], judge: "_Judge") -> int | None:
        return await unknowns.resolve(
            self.runtime.pool,
            recipient,
            [record.provider_message_id for record in records],
            judge,
            self.runtime.patience,
            max_attempts=Policy.of(recipient.channel, self.runtime.settings).max_attempts,
            resend_after_absent=recipient.channel in self.runtime.settings.resend_after_absent,
        )


def _delay_seconds(why: SendError) -> float:
    """Return for how long a look is put off that the vendor, or the account, does not allow now."""
    if isinstance(why, Halted):
        return HALTED_SECONDS
    asked = why.after_seconds if isinstance(why, Later) else None
    return min(max(POSTPONED_SECONDS, asked or 0.0), LONGEST_SECONDS)


@dataclass(frozen=True, slots=True)
class _Judge:
    """Matches the recipient's attempts with the vendor's records; the ledger calls it under its lock."""

    provider: Provider
    account: Account
    looked: frozenset[UUID]
    """Only for these an absence counts: they were due, and known before the vendor was asked."""
    records: Sequence[Record] = field(repr=False)

    def __call__(self, unknown: Sequence[Unknown], known: frozenset[str]) -> list[Finding]:
        free = [record for record in self.records if record.provider_message_id not in known]
        matching = match([self._sought(one) for one in unknown], free)
        found = [
            Finding(one.attempt_id, Verdict.FOUND, record.provider_message_id, record.answer, record.created_at)
            for one, record in matching.pairs
        ]
        verdict = Verdict.AMBIGUOUS if matching.unmatched else Verdict.ABSENT
        return found + [Finding(one.attempt_id, verdict) for one in matching.left if one.attempt_id in self.looked]

    def _sought(self, one: Unknown) -> Sought:
        return Sought(one.attempt_id, one.sender, self._digest(one), one.started_at, one.ended_at)

    def _digest(self, one: Unknown) -> str | None:
        try:
            payload = orjson.loads(one.payload or "{}")
            message = Message(one.message_id, one.channel, one.address, payload, one.attempt_id, one.send_key)
            part = self.provider.render(message, self.account)
        except (Rejected, Halted, AttributeError, ValueError):
            return ""  # equal to no digest: what cannot be rendered any more is left to a person
        return self.provider.digest(part.body, part.path)
