"""Look-ups: how Twilio is asked for what it accepted for one recipient, and what its list shows of each.

Facts: twilio.com/docs/messaging/api/message-resource and twilio.com/docs/voice/api/call-resource, "read multiple";
twilio.com/docs/usage/twilios-response on paging; the list operations of twilio_api_v2010.

The list is asked for by recipient alone. Its filters by day look at when a message was sent or a call was dialled,
which is empty while it is queued: a list with one would miss the very message that is sought.
"""

from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from config.channels import Channel
from providers.lookup import Page, Question, Record
from providers.records import entries, identity, reading
from providers.twilio import calls, messages, text

PAGE_SIZE = 50
"""Messages of 1,600 characters, six bytes each as JSON may write them, stay below what the client reads."""
_BEGUN_ELSEWHERE = frozenset({"inbound", "outbound-reply", "outbound-call", "outbound-dial"})
"""Directions of what no request to the API began."""
_PAGING = frozenset({"Page", "PageToken"})


def path(question: Question, page: str | None) -> str:
    """Return the list's path below the account, with its query; `page` is the last page's `next_page`."""
    query = {"To": question.address, "PageSize": str(PAGE_SIZE), **dict(parse_qsl(page or ""))}
    return f"{_list(question)}?{urlencode(query)}"


def page_of(question: Question, answer: Any) -> Page:
    """Read one page, cut to the question's time. Raises Unknown where it cannot be read."""
    with reading("Twilio"):
        resources = entries(answer["messages" if question.channel is Channel.SMS else "calls"])
        ours = [_record(resource) for resource in resources if resource["direction"] not in _BEGUN_ELSEWHERE]
        since = question.since.replace(microsecond=0)  # Twilio shows whole seconds.
        records = [record for record in ours if since <= record.created_at <= question.until]
        return Page(records, _next_page(answer["next_page_uri"], _list(question)))


def digest(body: bytes, path: str) -> str | None:
    """Digest the text of a rendered form; None for a call, and where there is only media."""
    return text.digest(dict(parse_qsl(body.decode())).get("Body", "")) if path == messages.PATH else None


def _list(question: Question) -> str:
    return messages.PATH if question.channel is Channel.SMS else calls.PATH


def _record(resource: Mapping[str, Any]) -> Record:
    created_at = parsedate_to_datetime(resource["date_created"])
    return Record(
        provider_message_id=identity(resource, "sid"),
        created_at=created_at.replace(tzinfo=UTC) if created_at.tzinfo is None else created_at.astimezone(UTC),
        sender=_sender(resource),
        digest=text.digest(resource.get("body") or ""),
        answer=resource,
    )


def _sender(resource: Mapping[str, Any]) -> str | None:
    """Return the number or, until a messaging service has chosen one, the service.

    Where both are shown nobody can tell by which of them it was sent: a message without a service gets a default one
    (twilio_api_v2010, Message, messaging_service_sid).
    """
    shown = [sender for sender in (resource["from"], resource.get("messaging_service_sid")) if sender]
    return shown[0] if len(shown) == 1 else None


def _next_page(uri: str | None, resource: str) -> str | None:
    """Keep nothing but the place in the list: the next request is made of our own address, wherever `uri` leads."""
    if not uri:
        return None
    parts = urlsplit(uri)
    if parts.scheme or parts.netloc or not parts.path.endswith(f"/{resource}"):
        raise ValueError("the next page is elsewhere")
    place = {name: value for name, value in parse_qsl(parts.query) if name in _PAGING}
    if "PageToken" not in place:
        raise ValueError("the next page has no place")
    return urlencode(place)
