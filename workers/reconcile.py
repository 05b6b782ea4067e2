"""Reconciling: the vendor is asked what became of attempts whose outcome nobody knows.

Owns the conversation with the vendor's record, page by page. Refuses to decide what the record means: the ledger does,
one recipient at a time, with what it knows in that moment (`outbox.unknowns`).
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from time import monotonic
from uuid import UUID

import orjson

from config import log
from config.channels import Channel
from config.failpoints import passing
from outbox import unknowns
from outbox.retry import Policy
from outbox.unknowns import Finding, Recipient, Unknown, Verdict
from providers.base import Account, Halted, Message, Provider, Rejected, Request, Response, SendError
from providers.base import Unknown as UnknownOutcome
from providers.lookup import Question, Record
from workers.matching import SKEW, Sought, match
from workers.runtime import Runtime

PAGES_LIMIT = 400
"""More pages than a vendor lists of ten minutes; beyond them the record counts as unreadable."""
AT_ONCE = 10
"""Recipients asked about at once in one process."""
BUNDLE_SECONDS = 5.0
"""How long a bundle may hold its thread; who was not asked about by then is put off."""
BUSY_SECONDS = 1.0
"""How long what this process has no time for is put off: about what a bundle takes."""
POSTPONED_SECONDS = 5.0
HALTED_SECONDS = 60.0

_log = log.get(__name__)


class _OtherCredentials(Halted):
    """Whoever holds the credentials now cannot be asked about what went out under others."""


async def look_up(runtime: Runtime, channel: Channel, token: UUID, ids: Sequence[str]) -> None:
    """Look the attempts of one bundle up that are still its claim, one bundle at a time in a process.

    A look may take seconds, and a thread that waits for it sends nothing.
    """
    if runtime.looking.locked():
        await unknowns.postpone(runtime.pool, [UUID(id_) for id_ in ids], token, delay_seconds=BUSY_SECONDS)
        return
    async with runtime.looking:
        await _look_up(runtime, token, ids)


async def _look_up(runtime: Runtime, token: UUID, ids: Sequence[str]) -> None:
    waiting = deque((await unknowns.read(runtime.pool, ids, token)).items())
    record, until = _VendorsRecord(runtime), monotonic() + BUNDLE_SECONDS

    async def run() -> None:
        while waiting and monotonic() < until:
            await _try(runtime, record, *waiting.popleft(), token)

    await asyncio.gather(*(run() for _ in range(AT_ONCE)))
    if left := [id_ for _, due in waiting for id_ in due]:
        await unknowns.postpone(runtime.pool, left, token, delay_seconds=BUSY_SECONDS)


async def _try(
    runtime: Runtime, record: "_VendorsRecord", recipient: Recipient, due: Sequence[UUID], token: UUID
) -> None:
    """Look, and put off what cannot be looked up now."""
    try:
        await _look(runtime, record, recipient, frozenset(due), token)
    except _OtherCredentials as why:
        whose = (runtime.pool, due, token, runtime.patience)
        await unknowns.leave(*whose, code=why.code, reason=why.reason, delay_seconds=HALTED_SECONDS)
    except SendError as why:
        _log.warning("look_postponed", provider=recipient.provider, attempts=len(due), code=why.code)
        delay = HALTED_SECONDS if isinstance(why, Halted) else POSTPONED_SECONDS
        await unknowns.postpone(runtime.pool, due, token, delay_seconds=delay)


async def _look(
    runtime: Runtime, record: "_VendorsRecord", recipient: Recipient, due: frozenset[UUID], token: UUID
) -> None:
    """Ask about one recipient and write what was found. Raises SendError where the vendor cannot be asked now."""
    account = await _same_account(runtime, recipient)
    asked = await unknowns.members(runtime.pool, recipient)
    records: list[Record] = []
    resolved = None
    if asked:
        records = await record.of(recipient, account, asked)
        passing("in_reconciler")
        judge = _Judge(runtime.providers[recipient.provider], account, due & {one.attempt_id for one in asked}, records)
        resolved = await unknowns.resolve(
            runtime.pool,
            recipient,
            [record.provider_message_id for record in records],
            judge,
            runtime.patience,
            max_attempts=Policy.of(recipient.channel, runtime.settings).max_attempts,
            resend_after_absent=recipient.channel in runtime.settings.resend_after_absent,
        )
    if resolved is None:
        await unknowns.postpone(runtime.pool, list(due), token, delay_seconds=POSTPONED_SECONDS)
    else:
        _log.info("looked_up", provider=recipient.provider, attempts=len(asked), resolved=resolved)


async def _same_account(runtime: Runtime, recipient: Recipient) -> Account:
    """Return the account under which the attempts were made. Raises Halted: another's record would show no trace."""
    tenant = recipient.account_tenant_id
    account = (await runtime.accounts.resolve(recipient.provider, {tenant}))[tenant]
    if isinstance(account, Halted):
        raise account
    if account.fingerprint != recipient.account:
        raise _OtherCredentials("other_credentials", "the account's credentials have changed since the attempt")
    return account


@dataclass(frozen=True, slots=True)
class _VendorsRecord:
    """What vendors list, for the length of one bundle: a list of a whole account (Vapi's) is read once for all of it.

    That an answer is some seconds old does no harm: what was due had ended long before the bundle was claimed.
    """

    runtime: Runtime
    answers: dict[tuple[str, str], Response] = field(default_factory=dict, repr=False)
    """By account and address of the request."""
    asking: dict[tuple[str, str], asyncio.Lock] = field(default_factory=dict, repr=False)
    """Held while that is asked: who wants the same waits for the answer."""

    async def of(self, recipient: Recipient, account: Account, asked: Sequence[Unknown]) -> list[Record]:
        """Return every record of the recipient from around the attempts, each vendor id once. Raises SendError."""
        provider = self.runtime.providers[recipient.provider]
        since, until = min(one.started_at for one in asked) - SKEW, max(one.ended_at for one in asked) + SKEW
        # Whole minutes, so that attempts of the same time ask the same.
        whole = Question(recipient.channel, recipient.address, _minute(since), _minute(until) + timedelta(minutes=1))
        records: dict[str, Record] = {}
        next_page: str | None = None
        for _ in range(PAGES_LIMIT):
            response = await self._answer(account, provider.lookup_request(whole, account, next_page))
            page = provider.lookup_page(whole, response)
            records |= {record.provider_message_id: record for record in page.records}
            next_page = page.next_page
            if next_page is None:
                return list(records.values())
        raise UnknownOutcome("endless_record", f"the record has more than {PAGES_LIMIT} pages")

    async def _answer(self, account: Account, request: Request) -> Response:
        key = (account.fingerprint, request.url)
        async with self.asking.setdefault(key, asyncio.Lock()):
            if key not in self.answers:
                self.answers[key] = await self._sent(request)
        return self.answers[key]

    async def _sent(self, request: Request) -> Response:
        await self.runtime.budget.take(1)
        try:
            return await self.runtime.client.send(request)
        finally:
            self.runtime.budget.give_back(1)


def _minute(moment: datetime) -> datetime:
    return moment.replace(second=0, microsecond=0)


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
