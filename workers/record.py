"""The vendor's record of what it accepted, as read for the length of one bundle of look-ups.

Owns the pages, and that nothing is asked twice: a list of a whole account (Vapi's) is read once for all its
recipients, and what could not be read is not asked again for each of them. That an answer is some seconds old does no
harm: what was due had ended long before the bundle was claimed. Refuses to decide what a record means.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from outbox.unknowns import Recipient, Unknown
from providers.base import Account, Request, Response, SendError
from providers.base import Unknown as UnknownOutcome
from providers.lookup import Question, Record
from workers.matching import SKEW
from workers.runtime import Runtime

PAGES_LIMIT = 400
"""More pages than a vendor lists of ten minutes; beyond them the record counts as unreadable."""

_Key = tuple[str, str]
"""Fingerprint of the account, and the address of the request."""


@dataclass(frozen=True, slots=True)
class VendorsRecord:
    """What vendors have answered to this bundle so far."""

    runtime: Runtime
    answers: dict[_Key, Response | SendError] = field(default_factory=dict, repr=False)
    asking: dict[_Key, asyncio.Lock] = field(default_factory=dict, repr=False)
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
        answer = self.answers[key]
        if isinstance(answer, SendError):
            raise answer
        return answer

    async def _sent(self, request: Request) -> Response | SendError:
        await self.runtime.budget.take(1)
        try:
            return await self.runtime.client.send(request)
        except SendError as why:
            return why
        finally:
            self.runtime.budget.give_back(1)


def _minute(moment: datetime) -> datetime:
    return moment.replace(second=0, microsecond=0)
