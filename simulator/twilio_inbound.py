"""Text messages that come in at a number of Twilio: told to the account's address, and obeyed where they say STOP.

Follows twilio.com/docs/messaging/guides/webhook-request, /docs/messaging/tutorials/advanced-opt-out (the words, and
OptOutType where a messaging service looks after them) and /docs/api/errors/21610: after STOP a number of ours reaches
that recipient no more, until START.
"""

import uuid
from dataclasses import dataclass

from simulator.callbacks import Telling
from simulator.simulation import Simulation
from simulator.twilio_callbacks import Report, TwilioTelling

STOP_WORDS = frozenset({"STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT"})
START_WORDS = frozenset({"START", "YES", "UNSTOP"})
HELP_WORDS = frozenset({"HELP", "INFO"})

_OPT_OUT_TYPES = {"STOP": STOP_WORDS, "START": START_WORDS, "HELP": HELP_WORDS}


@dataclass(frozen=True, slots=True)
class Reply:
    """One text message of a person to a number of ours."""

    account: str
    sender: str
    """Whose it is."""
    to: str
    body: str
    service: str | None = None
    """The messaging service that the number belongs to, where it looks after STOP and START itself."""


def receive(simulation: Simulation, reply: Reply, url: str, auth_token: str) -> tuple[Telling, str]:
    """Obey a reply; return what tells of it, and its SID."""
    word, pair = reply.body.strip().upper(), (reply.to, reply.sender)
    if word in STOP_WORDS:
        simulation.stopped.add(pair)
    if word in START_WORDS:
        simulation.stopped.discard(pair)
    sid = f"SM{uuid.uuid4().hex}"
    about = f"{reply.sender}\0{reply.to}\0{reply.body}".encode()
    report = _report(reply, sid, word)
    telling = TwilioTelling(vendor="twilio", kind="inbound", url=url, about=about, report=report, auth_token=auth_token)
    return telling, sid


def _report(reply: Reply, sid: str, word: str) -> Report:
    report = {
        "MessageSid": sid,
        "SmsSid": sid,
        "SmsMessageSid": sid,
        "AccountSid": reply.account,
        "From": reply.sender,
        "To": reply.to,
        "Body": reply.body,
        "NumMedia": "0",
        "NumSegments": "1",
        "SmsStatus": "received",
        "ApiVersion": "2010-04-01",
    }
    if reply.service is None:
        return report
    type_ = next((name for name, words in _OPT_OUT_TYPES.items() if word in words), None)
    opted = {"OptOutType": type_} if type_ else {}
    return {**report, "MessagingServiceSid": reply.service, **opted}
