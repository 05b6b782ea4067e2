"""Look-ups: how Resend is asked for what it accepted, and what its list shows of each mail.

Facts: resend.com/docs/api-reference/emails/list-emails and the operation emails/list of the vendor's OpenAPI file. The
list has no filter: it is the whole account's, newest first, and is read back to the question's beginning. It shows
neither bodies nor tags, so that the subject is all there is to compare, and no mark of ours comes back.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import orjson

from providers.lookup import Page, Question, Record
from providers.records import entries, identity, moment, reading, text_digest

PAGE_SIZE = 100
"""The most that Resend gives."""


def path(page: str | None) -> str:
    """Return the list's path with its query; `page` is the last page's `next_page`."""
    return f"/emails?{urlencode({'limit': PAGE_SIZE} | ({'after': page} if page else {}))}"


def page_of(question: Question, answer: Any) -> Page:
    """Read one page, cut to the question's recipient and time. Raises Unknown where it cannot be read."""
    with reading("Resend"):
        mails = entries(answer["data"])
        records = [_record(mail) for mail in mails]
        asked_for = [
            record
            for record, mail in zip(records, mails, strict=True)
            if question.since <= record.created_at <= question.until and _goes_to(mail, question.address)
        ]
        goes_on = answer["has_more"] and records[-1].created_at >= question.since
        return Page(asked_for, records[-1].provider_message_id if goes_on else None)


def digest(body: bytes) -> str | None:
    """Digest the subject of a rendered mail."""
    return text_digest(orjson.loads(body)["subject"])


def _record(mail: Mapping[str, Any]) -> Record:
    return Record(
        provider_message_id=identity(mail, "id"),
        created_at=moment(mail["created_at"]),
        sender=mail["from"],
        digest=text_digest(mail["subject"]),
        answer=mail,
    )


def _goes_to(mail: Mapping[str, Any], address: str) -> bool:
    """Compare without case: a vendor may write an address as it likes, and one too many harms nobody."""
    bare = (recipient.rpartition("<")[2].rstrip("> ") for recipient in entries(mail["to"]))
    return address.casefold() in {recipient.casefold() for recipient in bare}
