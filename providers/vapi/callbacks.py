"""Vapi's server messages: how they are asked for, how they are signed, and what they say.

Sources: docs.vapi.ai/server-url/server-authentication, docs.vapi.ai/server-url/events, and of the vendor's OpenAPI file
the schemas Server, BackoffPlan, HMACAuthenticationPlan (with its defaults), ServerMessageStatusUpdate and
ServerMessageEndOfCallReport. Vapi promises neither order nor repetition.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal
from uuid import UUID

from config.channels import Channel
from config.vocabulary import Kind
from providers.base import Account, Message
from providers.bodies import object_of, part, text, uuid, when
from providers.callbacks import BadSignature, Call, Callback, Event, Malformed
from providers.signatures import check_clock, digest, fits
from providers.urls import is_loopback
from providers.vapi import endings

STATUS, REPORT = "status-update", "end-of-call-report"
BACKOFF = {"type": "exponential", "maxRetries": 8, "baseDelaySeconds": 1}
"""Without one Vapi tries once. Some four minutes in all; after that the poller finds what was lost."""
ENDED = "ended"
ATTEMPT = "attempt"
"""In the query of a call's own address: the token is checked against it before anything is parsed."""
STATUSES: Mapping[str, Kind] = {
    # Call.status of the OpenAPI file; `ended` is read by its reason, the rest (not-found, ...) is of no call of ours.
    "scheduled": Kind.ACCEPTED,
    "queued": Kind.ACCEPTED,
    "ringing": Kind.ACCEPTED,
    "in-progress": Kind.CALL_ANSWERED,
    "forwarding": Kind.CALL_ANSWERED,
}
_CALL_STATUSES: Mapping[Kind, Literal["completed", "failed", "no_answer"]] = {
    Kind.CALL_ENDED: "completed",
    Kind.NO_ANSWER: "no_answer",
    Kind.CALL_FAILED: "failed",
}
_INBOUND, _OUTBOUND = "inboundPhoneCall", "outboundPhoneCall"
_ANSWER = ("type", "status", "endedReason", "startedAt", "endedAt", "cost", "analysis")


def overrides(message: Message, account: Account) -> dict[str, Any]:
    """Return what asks for callbacks of a call; nothing where Vapi could not reach us, or could prove nothing.

    A credential of Vapi's dashboard signs only for the server that is saved with it, and ours is named by the call. So
    the call brings its proof along, in the header that Vapi's own secrets used to have.
    """
    url, secrets = account.webhook_url, _secrets(account)
    if not url or not secrets or (is_loopback(url) and not is_loopback(account.base_url)):
        return {}
    server = {
        "url": f"{url}?{ATTEMPT}={message.attempt_id}",
        "headers": {"X-Vapi-Secret": token(secrets[0], message.attempt_id)},
        "backoffPlan": BACKOFF,
    }
    return {"server": server, "serverMessages": [STATUS, REPORT]}


def token(secret: str, attempt_id: UUID) -> str:
    """Return what proves a callback of this one call. Vapi shows it with the call, so it is not the secret itself."""
    return digest(secret.encode(), f"callbacks of {attempt_id}".encode()).hex()


def verify(callback: Callback, account: Account, *, now: float) -> None:
    """Check the signature, or the token where there is none. Raises BadSignature, also without a secret.

    The body is not parsed. What the token of one attempt proves is of that attempt alone: `parse` sees to it.
    """
    secrets = _secrets(account)
    signature = callback.headers.get("x-signature")
    if signature is not None:
        _check_signature(callback, signature, secrets, now)
        return
    plain = callback.headers.get("x-vapi-secret", "")
    scheme, _, bearer = callback.headers.get("authorization", "").partition(" ")
    given = [one for one in (plain, bearer if scheme.lower() == "bearer" else "") if one]
    if not fits(given, secrets) and not (plain and fits([plain], _tokens(callback, secrets))):
        raise BadSignature("neither a signature nor a token that fits")


def _check_signature(callback: Callback, signature: str, secrets: Sequence[str], now: float) -> None:
    timestamp = callback.headers.get("x-timestamp", "")
    check_clock(timestamp, now)
    signed = timestamp.encode() + b"." + callback.body
    if not fits([signature], [digest(secret.encode(), signed).hex() for secret in secrets]):
        raise BadSignature("x-signature does not fit")


def _secrets(account: Account) -> list[str]:
    return account.credentials.get("webhook_secret", "").split()


def _tokens(callback: Callback, secrets: Sequence[str]) -> list[str]:
    """Return the tokens of the attempt that the address names; none where it names none."""
    attempt = uuid(callback.query.get(ATTEMPT))
    return [token(secret, attempt) for secret in secrets] if attempt else []


def parse(callback: Callback) -> list[Event]:
    """Say what a server message tells: one event, or none where it is about no call of ours. Raises Malformed.

    An address that names an attempt is that of one call, and takes nothing of any other.
    """
    said = _message(callback.body)
    type_, status, call = said.get("type"), said.get("status"), part(said, "call")
    if type_ not in (STATUS, REPORT):
        return []
    if not text(call.get("id")) or (type_ == STATUS and not isinstance(status, str)):
        raise Malformed("a message about a call has the call's id, a status update its status")
    if ATTEMPT in callback.query and not _is_of(callback.query[ATTEMPT], call):
        raise Malformed("the address is of another call than the message")
    if call.get("type") not in (None, _OUTBOUND) and (type_, call.get("type")) != (REPORT, _INBOUND):
        return []
    if type_ == REPORT or status == ENDED:
        return [ended(call, said, type_)]
    kind = STATUSES.get(str(status))
    return [_event(call, said, f"{STATUS}:{status}", kind)] if kind else []


def _is_of(attempt: str, call: Mapping[str, Any]) -> bool:
    """Tell whether a call is the one that we began in this attempt: its name is the attempt's id."""
    named = uuid(attempt)
    return named is not None and named == uuid(call.get("name")) and call.get("type") in (None, _OUTBOUND)


def ended(call: Mapping[str, Any], said: Mapping[str, Any], type_: str) -> Event:
    """Return the event of a call's end; `said` is the report, or the call itself, which shows the same."""
    reason = text(said.get("endedReason")) or text(call.get("endedReason")) or ""
    kind = endings.kind_of(reason, leaves_message=_leaves_message(call, said))
    code, sentence = endings.cause(reason, kind)
    about = _call(call, said, kind)
    if about.direction == "inbound":
        kind, code, sentence = Kind.CALL_RECEIVED, None, None
    return _event(call, said, f"{type_}:{ENDED}", kind, code=code, reason=sentence, about=about)


def _event(
    call: Mapping[str, Any],
    said: Mapping[str, Any],
    what: str,
    kind: Kind,
    *,
    code: str | None = None,
    reason: str | None = None,
    about: Call | None = None,
) -> Event:
    is_inbound = kind is Kind.CALL_RECEIVED
    attempt = None if is_inbound else uuid(call.get("name"))
    customer = part(call, "customer") or part(said, "customer")
    metadata = part(part(call, "assistantOverrides"), "metadata")
    return Event(
        # Whoever can prove one attempt shall not be able to take the place of what is said of another.
        event_id=":".join((call["id"], *([str(attempt)] if attempt else []), what)),
        kind=kind,
        provider_message_id=call["id"],
        message_id=None if is_inbound else uuid(customer.get("externalId")) or uuid(metadata.get("message_id")),
        attempt_id=attempt,
        channel=Channel.VOICE if is_inbound else None,
        address=text(customer.get("number")),
        our_address=_our_number(call, said) if is_inbound else None,
        occurred_at=when(said.get("endedAt")) or when(said.get("timestamp")),
        code=code,
        reason=reason,
        call=about,
        answer=_answer(call, said),
    )


def _call(call: Mapping[str, Any], said: Mapping[str, Any], kind: Kind) -> Call:
    analysis, artifact = part(said, "analysis"), part(said, "artifact")
    return Call(
        call_id=call["id"],
        direction="inbound" if call.get("type") == _INBOUND else "outbound",
        duration_seconds=None if kind is Kind.NO_ANSWER else _seconds(call, said),
        transcript=text(artifact.get("transcript")),
        summary=text(analysis.get("summary")),
        sentiment=text(part(analysis, "structuredData").get("sentiment")),
        status=_CALL_STATUSES[kind],
        our_number=_our_number(call, said),
        number_id=text(call.get("phoneNumberId")),
    )


def _answer(call: Mapping[str, Any], said: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is kept of the message: not the assistant's own description, nor the transcript, kept elsewhere."""
    shown = {name: call[name] for name in ("id", "name", "type", "phoneNumberId") if name in call}
    return {**{name: said[name] for name in _ANSWER if name in said}, "call": shown}


def _leaves_message(call: Mapping[str, Any], said: Mapping[str, Any]) -> bool:
    """Tell whether the assistant has words for a voicemail: without them Vapi hangs up."""
    speakers = (part(call, "assistantOverrides"), part(call, "assistant"), part(said, "assistant"))
    return any(text(speaker.get("voicemailMessage")) for speaker in speakers)


def _our_number(call: Mapping[str, Any], said: Mapping[str, Any]) -> str | None:
    return text(part(call, "phoneNumber").get("number")) or text(part(said, "phoneNumber").get("number"))


def _seconds(call: Mapping[str, Any], said: Mapping[str, Any]) -> int | None:
    began, over = (when(said.get(name)) or when(call.get(name)) for name in ("startedAt", "endedAt"))
    return max(0, round((over - began).total_seconds())) if began and over else None


def _message(body: bytes) -> Mapping[str, Any]:
    message = object_of(body).get("message")
    if not isinstance(message, dict):
        raise Malformed("the body has no message")
    return message
