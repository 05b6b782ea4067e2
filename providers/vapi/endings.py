"""Why a call of Vapi ended, and what that means: one table, read by prefix.

Source: the enum `endedReason` of the vendor's OpenAPI file (some 600 values, most of them a fault of some part) and
docs.vapi.ai/calls/call-ended-reason. Refuses to guess: a reason that is in no row did not bring a conversation about.
"""

from collections.abc import Mapping

from config.vocabulary import Kind

ENDINGS: Mapping[str, Kind] = {
    "assistant-ended-call": Kind.CALL_ENDED,
    "assistant-said-end-call-phrase": Kind.CALL_ENDED,
    "assistant-forwarded-call": Kind.CALL_ENDED,
    "customer-ended-call": Kind.CALL_ENDED,
    "silence-timed-out": Kind.CALL_ENDED,
    "exceeded-max-duration": Kind.CALL_ENDED,
    "vonage-completed": Kind.CALL_ENDED,
    "call.in-progress.twilio-completed-call": Kind.CALL_ENDED,
    "call.in-progress.sip-completed-call": Kind.CALL_ENDED,
    "call.ending.hook-executed": Kind.CALL_ENDED,
    # Somebody spoke with the assistant before it tried to put them through.
    "call.forwarding.": Kind.CALL_ENDED,
    "customer-did-not-answer": Kind.NO_ANSWER,
    "customer-busy": Kind.NO_ANSWER,
    "call.in-progress.error-providerfault-outbound-sip-408": Kind.NO_ANSWER,
    "call.in-progress.error-providerfault-outbound-sip-480": Kind.NO_ANSWER,
    "call.ringing.sip-inbound-caller-hungup": Kind.NO_ANSWER,
    # Unless something was said to it; see `kind_of`.
    "voicemail": Kind.NO_ANSWER,
}
VOICEMAIL = "voicemail"

_SENTENCES: Mapping[str, str] = {
    "customer-busy": "the line was busy",
    VOICEMAIL: "a voicemail answered, and nothing was said to it",
}


def kind_of(reason: str, *, leaves_message: bool = False) -> Kind:
    """Return what an `endedReason` means. `leaves_message`: the assistant speaks to a voicemail."""
    if reason == VOICEMAIL and leaves_message:
        return Kind.CALL_ENDED
    return next((kind for prefix, kind in ENDINGS.items() if reason.startswith(prefix)), Kind.CALL_FAILED)


def cause(reason: str, kind: Kind) -> tuple[str | None, str | None]:
    """Return a code and a sentence for a call that brought nothing about; neither for one that did."""
    if kind is Kind.CALL_FAILED:
        return reason or "failed", f"Vapi reports {reason or 'no reason'}"
    if kind is Kind.NO_ANSWER:
        return Kind.NO_ANSWER.value, _SENTENCES.get(reason, "nobody answered")
    return None, None
