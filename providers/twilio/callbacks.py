"""Twilio's status callbacks: where they are asked for, how they are signed, and what they say.

Sources: twilio.com/docs/usage/security (signatures: HMAC-SHA1 under the auth token over the URL up to the end of its
query, followed by every POST parameter, sorted; for JSON the body's SHA-256 stands in the query as bodySHA256);
twilio.com/docs/messaging/api/message-resource and twilio.com/docs/voice/api/call-resource (statuses);
twilio.com/docs/usage/webhooks/webhooks-connection-overrides (the fragment). Twilio promises no order.
"""

import base64
import hashlib
import hmac
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID

import orjson

from config.vocabulary import KINDS, Kind, Proof
from providers.base import Account, Message
from providers.callbacks import BadSignature, Callback, Event, Malformed
from providers.urls import is_loopback

RETRIES = "#rc=5&rp=all"
"""Twilio's default is one more try and only where no connection came about; all tries together take 15 s at most."""
FIELDS_LIMIT = 200
"""A status callback has about twenty."""
FORM_LIMIT_BYTES = 65_536
"""A form has to be parsed before its signature can be checked; the longest field is a text of 1,600 characters."""
SIGNATURE_LENGTH = 28
"""Characters of a SHA-1 in base64."""

_ACCEPTED, _DELIVERED, _FAILED = Kind.ACCEPTED, Kind.DELIVERED, Kind.FAILED

MESSAGE_STATUSES: Mapping[str, Kind] = {
    "accepted": _ACCEPTED,
    "scheduled": _ACCEPTED,
    "queued": _ACCEPTED,
    "sending": _ACCEPTED,
    "sent": _ACCEPTED,
    "delivered": _DELIVERED,
    "partially_delivered": _DELIVERED,
    "read": _DELIVERED,
    "undelivered": _FAILED,
    "failed": _FAILED,
    "canceled": _FAILED,
}
CALL_STATUSES: Mapping[str, Kind] = {
    "queued": _ACCEPTED,
    "initiated": _ACCEPTED,
    "ringing": _ACCEPTED,
    "in-progress": Kind.CALL_ANSWERED,
    "completed": Kind.CALL_ENDED,
    "busy": Kind.NO_ANSWER,
    "no-answer": Kind.NO_ANSWER,
    "failed": Kind.CALL_FAILED,
    "canceled": Kind.CALL_FAILED,
}
_CALL_CODES = {"busy": "no_answer", "no-answer": "no_answer"}
_CALL_REASONS = {"busy": "the line was busy", "no-answer": "nobody answered", "canceled": "the call was cancelled"}


def fields(message: Message, account: Account) -> list[tuple[str, str]]:
    """Return the form fields that ask for callbacks of a message; none where Twilio could not reach us.

    Twilio refuses a message whose address for callbacks is on its own machine or has an underscore in its host (21609).
    """
    url = account.webhook_url
    is_reachable = not is_loopback(url) and "_" not in (urlsplit(url).hostname or "")
    if not url or not (is_reachable or is_loopback(account.base_url)):
        return []
    return [("StatusCallback", f"{url}?attempt={message.attempt_id}&message={message.id}{RETRIES}")]


def verify(callback: Callback, auth_token: str) -> None:
    """Check the signature. Raises BadSignature and Malformed; takes the same time for every wrong signature.

    What is not signed at all is not parsed.
    """
    given = callback.headers.get("x-twilio-signature", "").encode("utf-8", "replace")
    if len(given) != SIGNATURE_LENGTH:
        raise BadSignature("X-Twilio-Signature is none")
    signed = _signed_parameters(callback)
    # The first form fits nearly always; a wrong signature is compared with all of them.
    if not any(hmac.compare_digest(given, signature(auth_token, url, signed)) for url in _urls(callback.url)):
        raise BadSignature("X-Twilio-Signature does not fit")


def signature(auth_token: str, url: str, parameters: str) -> bytes:
    """Return what Twilio signs with: base64 of HMAC-SHA1 over the URL and the parameters that follow it."""
    text = (url + parameters).encode("utf-8", "surrogatepass")
    return base64.b64encode(hmac.new(auth_token.encode(), text, hashlib.sha1).digest())


def parse(callback: Callback) -> list[Event]:
    """Say what a status callback tells: one event, or none where it tells of nothing that we sent. Raises Malformed."""
    said = _parameters(callback)
    if "CallSid" in said:
        return _events(callback, said, said["CallSid"], said.get("CallStatus", ""), CALL_STATUSES)
    sid = said.get("MessageSid") or said.get("SmsSid") or ""
    status = said.get("MessageStatus") or said.get("SmsStatus") or ""
    return _events(callback, said, sid, status, MESSAGE_STATUSES)


def _events(
    callback: Callback, said: Mapping[str, str], sid: str, status: str, kinds: Mapping[str, Kind]
) -> list[Event]:
    if not sid or not status:
        raise Malformed("a status callback has a sid and a status")
    if status not in kinds:
        return []
    code = said.get("ErrorCode") or _CALL_CODES.get(status) or status
    reason = said.get("ErrorMessage") or _CALL_REASONS.get(status) or f"Twilio reports {status}"
    is_bad = KINDS[kinds[status]].proves is Proof.UNDELIVERED
    return [
        Event(
            event_id=f"{sid}:{status}:{said.get('ErrorCode', '')}",
            kind=kinds[status],
            provider_message_id=sid,
            attempt_id=_attempt(callback),
            code=code if is_bad else None,
            reason=reason if is_bad else None,
            answer=dict(said),
        )
    ]


def _attempt(callback: Callback) -> UUID | None:
    if "attempt" not in callback.query:
        return None
    try:
        return UUID(callback.query["attempt"])
    except ValueError:
        raise Malformed("attempt in the address is no uuid") from None


def _parameters(callback: Callback) -> dict[str, str]:
    if not _is_json(callback):
        return dict(_form(callback.body))
    try:
        said = orjson.loads(callback.body)
    except orjson.JSONDecodeError:
        raise Malformed("the body is no JSON") from None
    if not isinstance(said, dict):
        raise Malformed("the body is no object")
    return {name: value for name, value in said.items() if isinstance(value, str)}


@lru_cache(maxsize=1)
def _form(body: bytes) -> Sequence[tuple[str, str]]:
    """Return the fields; asked for twice, by the check of the signature and by what reads it."""
    if len(body) > FORM_LIMIT_BYTES:
        raise Malformed(f"the form has over {FORM_LIMIT_BYTES} bytes")
    try:
        return tuple(
            parse_qsl(body.decode("utf-8"), keep_blank_values=True, errors="strict", max_num_fields=FIELDS_LIMIT)
        )
    except ValueError:
        raise Malformed("the body is no form in UTF-8, or has too many fields") from None


def _signed_parameters(callback: Callback) -> str:
    """Return what follows the URL in the signed text; a JSON body is bound to the URL by its digest instead."""
    if not _is_json(callback):
        return "".join(name + value for name, value in sorted(set(_form(callback.body))))
    digest = hashlib.sha256(callback.body).hexdigest().encode()
    if not hmac.compare_digest(digest, callback.query.get("bodySHA256", "").lower().encode("utf-8", "replace")):
        raise BadSignature("bodySHA256 is not the body's")
    return ""


def _is_json(callback: Callback) -> bool:
    return callback.headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json"


def _urls(url: str) -> Iterator[str]:
    """Yield the forms of our address that Twilio may have signed: with and without the scheme's usual port.

    Each also with the fragment that we gave it: whether that is signed is not documented. What follows the host stays
    as it is, byte for byte.
    """
    yield url
    yield url + RETRIES
    scheme, _, rest = url.partition("://")
    netloc, slash, path = rest.partition("/")
    host, colon, port = netloc.rpartition(":")
    if not colon or not port.isdecimal():
        host, port = netloc, "443" if scheme == "https" else "80"
    for form in (f"{scheme}://{host}{slash}{path}", f"{scheme}://{host}:{port}{slash}{path}"):
        yield form
        yield form + RETRIES
