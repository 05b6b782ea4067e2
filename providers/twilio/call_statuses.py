"""What Twilio's statuses of a call mean, as data, and the event that each of them is; who picked up, and who called.

Sources: twilio.com/docs/voice/api/call-resource (statuses; parameters of StatusCallback, Timestamp in RFC 2822),
/docs/voice/answering-machine-detection (AnsweredBy, AsyncAmdStatusCallback). Twilio promises no order.
"""

from collections.abc import Mapping
from typing import Literal
from uuid import UUID

from config.channels import Channel
from config.vocabulary import KINDS, Kind, Proof
from providers.callbacks import Call, Event, Malformed
from providers.twilio.parameters import Parameters, moment, number, seconds

STATUSES: Mapping[str, Kind] = {
    "queued": Kind.ACCEPTED,
    "initiated": Kind.ACCEPTED,
    "ringing": Kind.ACCEPTED,
    "in-progress": Kind.CALL_ANSWERED,
    "completed": Kind.CALL_ENDED,
    "busy": Kind.NO_ANSWER,
    "no-answer": Kind.NO_ANSWER,
    "failed": Kind.CALL_FAILED,
    "canceled": Kind.CALL_FAILED,
}
ENDS: Mapping[Kind, Literal["completed", "failed", "no_answer"]] = {
    Kind.CALL_ENDED: "completed",
    Kind.NO_ANSWER: "no_answer",
    Kind.CALL_FAILED: "failed",
}
"""What `voice_call_records` says of a call that is over."""
_REASONS = {
    "busy": "the line was busy",
    "no-answer": "nobody answered",
    "failed": "the call could not be connected",
    "canceled": "the call was cancelled",
}
_INCOMING = frozenset({"inbound", "trunking-originating"})


def event(said: Parameters, attempt_id: UUID | None = None) -> Event | None:
    """Return what is told of a call; None for a status that means nothing to us. Raises Malformed."""
    sid, status = said.get("CallSid"), said.get("CallStatus")
    if not sid or not (status or said.get("AnsweredBy")):
        raise Malformed("a status callback has a sid and a status")
    if not status:
        return _picked_up(sid, said, attempt_id)
    if status not in STATUSES:
        return None
    return _received(sid, said) if said.get("Direction") in _INCOMING else _progress(sid, said, attempt_id)


def _progress(sid: str, said: Parameters, attempt_id: UUID | None) -> Event:
    status = said["CallStatus"]
    kind = STATUSES[status]
    is_bad = KINDS[kind].proves is Proof.UNDELIVERED
    code = (ENDS[kind] if kind is Kind.NO_ANSWER else status) if is_bad else None
    return Event(
        event_id=f"{sid}:{status}",
        kind=kind,
        provider_message_id=sid,
        attempt_id=attempt_id,
        channel=Channel.VOICE,
        address=number(said, "To"),
        our_address=number(said, "From"),
        occurred_at=moment(said, "Timestamp"),
        code=said.get("AnsweredBy") or None if kind is Kind.CALL_ANSWERED else code,
        reason=_reason(said) if is_bad else None,
        call=None if kind is Kind.ACCEPTED else _call(sid, said),
        answer=dict(said),
    )


def _picked_up(sid: str, said: Parameters, attempt_id: UUID | None) -> Event:
    """Read the result of answering machine detection, which comes beside the statuses and names none."""
    answered_by = said["AnsweredBy"]
    return Event(
        event_id=f"{sid}:answered-by:{answered_by}",
        kind=Kind.CALL_ANSWERED,
        provider_message_id=sid,
        attempt_id=attempt_id,
        channel=Channel.VOICE,
        occurred_at=moment(said, "Timestamp"),
        code=answered_by,
        call=Call(call_id=sid),
        answer=dict(said),
    )


def _received(sid: str, said: Parameters) -> Event:
    """Read a status of a call that somebody made to one of our numbers."""
    return Event(
        event_id=f"{sid}:{said['CallStatus']}",
        kind=Kind.CALL_RECEIVED,
        provider_message_id=sid,
        channel=Channel.VOICE,
        address=number(said, "From"),
        our_address=number(said, "To"),
        occurred_at=moment(said, "Timestamp"),
        call=_call(sid, said, is_incoming=True),
        answer=dict(said),
    )


def _call(sid: str, said: Parameters, *, is_incoming: bool = False) -> Call:
    return Call(
        call_id=sid,
        direction="inbound" if is_incoming else "outbound",
        duration_seconds=seconds(said, "CallDuration"),
        status=ENDS.get(STATUSES[said["CallStatus"]]),
        our_number=number(said, "To" if is_incoming else "From"),
    )


def _reason(said: Parameters) -> str:
    sip = said.get("SipResponseCode")
    reason = _REASONS[said["CallStatus"]]
    return f"{reason} (SIP {sip})" if sip and said["CallStatus"] == "failed" else reason
