"""One mail: the JSON object that Resend takes, alone or as a member of a batch.

Facts: resend.com/docs/api-reference/emails/send-email; resend.com/docs/dashboard/emails/{tags,attachments};
resend.com/docs/dashboard/emails/add-unsubscribe-to-transactional-emails (the headers are RFC 8058, section 3.1).
"""

import re
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from providers.base import Message, Rejected
from providers.payload import is_one_line, mapping, objects, one_line, optional_text
from providers.urls import public_https

SUBJECT_LIMIT = 998
"""Characters: a line of a mail has no more (RFC 5322, section 2.1.1)."""
TAGS_LIMIT = 73
"""75 a message (docs/dashboard/emails/tags), two of which are ours."""
ATTACHMENTS_LIMIT = 50
_TAG = re.compile(r"[A-Za-z0-9_-]{1,256}")
_OUR_TAGS = frozenset({"message_id", "send_key"})
_HEADER_NAME = re.compile(r"[A-Za-z0-9-]{1,100}")
_FIELD_HEADERS = frozenset({"from", "sender", "to", "cc", "bcc", "reply-to", "subject"})
"""Who sends and who receives is said by the message itself: a blind copy in a header would escape suppressions."""


def mail(message: Message, sender: str) -> dict[str, Any]:
    """Return the mail. Raises Rejected with what to mend."""
    payload = message.payload
    return {
        "from": sender,
        "to": [message.address],
        "subject": one_line(payload, "subject", limit=SUBJECT_LIMIT),
        **_bodies(payload),
        **_extras(payload, message.unsubscribe_url),
        "tags": [*_tags(payload), _tag("message_id", message.id), _tag("send_key", message.send_key)],
    }


def _bodies(payload: Mapping[str, Any]) -> dict[str, str]:
    bodies = {field: optional_text(payload, field) for field in ("html", "text")}
    present = {field: body for field, body in bodies.items() if body}
    if not present:
        raise Rejected("missing_body", "payload has neither html nor text; set one of them")
    return present


def _extras(payload: Mapping[str, Any], unsubscribe_url: str | None) -> dict[str, Any]:
    for field in ("cc", "bcc"):
        if payload.get(field):
            reason = f"payload.{field} cannot be sent: one message goes to one recipient; insert a row for each"
            raise Rejected(f"unsupported_{field}", reason)
    attachments = objects(payload, "attachments", limit=ATTACHMENTS_LIMIT)
    extras = {
        "reply_to": _reply_to(payload),
        "headers": _headers(payload, unsubscribe_url),
        "attachments": [_attachment(attachment) for attachment in attachments],
    }
    return {field: extra for field, extra in extras.items() if extra}


def _reply_to(payload: Mapping[str, Any]) -> list[str]:
    given = payload.get("reply_to") or []
    return [one_line({"reply_to": address}, "reply_to") for address in (given if isinstance(given, list) else [given])]


def _headers(payload: Mapping[str, Any], unsubscribe_url: str | None) -> dict[str, str]:
    """Return the payload's own headers, and those of RFC 8058 unless it brings a List-Unsubscribe itself."""
    headers = {name: _header(name, value) for name, value in mapping(payload, "headers").items()}
    if unsubscribe_url is None or any(name.lower() == "list-unsubscribe" for name in headers):
        return headers
    own = {name: value for name, value in headers.items() if name.lower() != "list-unsubscribe-post"}
    return {
        **own,
        "List-Unsubscribe": f"<{unsubscribe_url}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    }


def _header(name: str, value: Any) -> str:
    if not _HEADER_NAME.fullmatch(name) or name.lower() in _FIELD_HEADERS:
        raise Rejected("invalid_headers", "a name in payload.headers is no mail header, or is one with its own field")
    if not isinstance(value, str) or not value.strip() or not is_one_line(value):
        raise Rejected("invalid_headers", f"payload.headers.{name} must be one line of text")
    return value


def _attachment(attachment: Any) -> dict[str, str]:
    if not isinstance(attachment, dict):
        raise Rejected("invalid_attachments", "each of payload.attachments must be an object")
    if bool(attachment.get("content")) == bool(attachment.get("path")):
        raise Rejected("invalid_attachments", "each of payload.attachments needs content (base64) or path (https)")
    kept = {name: attachment[name] for name in ("filename", "content_type", "content_id") if attachment.get(name)}
    if not all(isinstance(value, str) and is_one_line(value) for value in kept.values()):
        raise Rejected("invalid_attachments", "filename, content_type and content_id must be one line of text each")
    if attachment.get("path"):
        return {**kept, "path": public_https(attachment["path"], "attachments.path")}
    if not isinstance(attachment["content"], str):
        raise Rejected("invalid_attachments", "content in payload.attachments must be base64 text")
    return {**kept, "content": attachment["content"]}


def _tags(payload: Mapping[str, Any]) -> list[dict[str, str]]:
    tags = objects(payload, "tags", limit=TAGS_LIMIT)
    for tag in tags:
        valid = isinstance(tag, dict) and set(tag) == {"name", "value"}
        if not valid or not all(isinstance(part, str) and _TAG.fullmatch(part) for part in tag.values()):
            raise Rejected("invalid_tags", "each of payload.tags is {name, value} of ASCII letters, digits, _ and -")
        if tag["name"] in _OUR_TAGS:
            raise Rejected("invalid_tags", "message_id and send_key in payload.tags are names of the fleet itself")
    return tags


def _tag(name: str, value: UUID) -> dict[str, str]:
    return {"name": name, "value": str(value)}
