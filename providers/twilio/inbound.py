"""Text messages that people write to our numbers: STOP, START, and everything else.

Sources: twilio.com/docs/messaging/guides/webhook-request (parameters; OptOutType where Advanced Opt-Out is on),
/docs/api/errors/30004 (the words of the default handling, with REVOKE and OPTOUT since 29 April 2025), and
/docs/proxy/opt-out-keywords (the French ones). Refuses to answer: Twilio itself confirms a STOP.
"""

import unicodedata
from collections.abc import Mapping

from config.channels import Channel
from config.vocabulary import Kind
from providers.callbacks import Event, Malformed
from providers.twilio.parameters import Parameters, number

STOP_WORDS = frozenset(
    {"STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT", "ARRET", "ARRETE", "ARRETT"}
)
START_WORDS = frozenset({"START", "YES", "UNSTOP"})
OPT_OUT_TYPES: Mapping[str, Kind] = {"STOP": Kind.STOPPED, "START": Kind.RESUMED, "HELP": Kind.REPLIED}
"""What Twilio has understood by the account's own list of words, which is better than ours."""
_COMING = frozenset({"receiving", "received"})


def is_incoming(said: Parameters) -> bool:
    """Tell whether a request is about a message to us: a status of ours has other statuses, and no text."""
    status = said.get("MessageStatus") or said.get("SmsStatus")
    return status in _COMING or (not status and "Body" in said and "From" in said)


def event(said: Parameters) -> Event:
    """Return what somebody wrote; the addresses of its media stay in `answer`. Raises Malformed."""
    sid = said.get("MessageSid") or said.get("SmsSid")
    if not sid:
        raise Malformed("an incoming message has a sid")
    text = said.get("Body", "")
    kind = OPT_OUT_TYPES.get(said.get("OptOutType", "").upper())
    return Event(
        event_id=f"{sid}:received",
        kind=kind or kind_of(text),
        provider_message_id=sid,
        channel=Channel.SMS,
        address=number(said, "From"),
        our_address=number(said, "To"),
        text=text,
        answer=dict(said),
    )


def kind_of(text: str) -> Kind:
    """Return what a text means. A word counts where it stands alone, whatever its case, spaces and signs.

    More than Twilio takes for one: `Opt out.` is as good as OPTOUT, and who is heard twice is only left alone.
    """
    letters = unicodedata.normalize("NFKD", text)
    word = "".join(character for character in letters if character.isalnum()).upper()
    if word in STOP_WORDS:
        return Kind.STOPPED
    return Kind.RESUMED if word in START_WORDS else Kind.REPLIED
