"""Twilio's callbacks: what they say of a message, a call, a machine that answered; how they are signed; when again.

Follows twilio.com/docs/usage/security (X-Twilio-Signature), /docs/messaging/guides/track-outbound-message-status,
/docs/voice/api/call-resource (StatusCallback parameters), /docs/voice/answering-machine-detection (the asynchronous
result) and /docs/usage/webhooks/webhooks-connection-overrides (the fragment that asks for retries).
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl, urldefrag, urlencode

from simulator.callbacks import NO_ANSWER, NO_CONNECTION, Posting, Telling
from simulator.ends import End
from simulator.ledger import Accepted

Report = Mapping[str, str]

CALL_SECONDS = 7
MOST_SECONDS = 15.0
"""All tries of one callback together, where the fragment does not ask for less (`tt`)."""

MESSAGE_ENDS: Mapping[str, tuple[str, str | None]] = {
    End.DELIVERED: ("delivered", None),
    End.UNSUBSCRIBED: ("delivered", None),
    End.BOUNCED: ("undelivered", "30005"),
    End.SOFT_BOUNCED: ("undelivered", "30003"),
    End.UNDELIVERED: ("undelivered", "30007"),
}
"""By end: a message's last status, and the error code of a bad one (twilio.com/docs/api/errors)."""
CALL_ENDS: Mapping[str, str] = {
    End.DELIVERED: "completed",
    End.NO_ANSWER: "no-answer",
    End.UNDELIVERED: "failed",
}


@dataclass(slots=True, kw_only=True)
class TwilioTelling(Telling):
    """One report to the address that a request gave."""

    report: Report
    auth_token: str

    def posting(self) -> Posting:
        """Return the request, signed."""
        return posting(self.url, self.report, self.auth_token)

    def wait_seconds(self, tries: int, status: int, spent_seconds: float) -> float | None:
        """Try again at once, as often and after such failures as the fragment asks; by default once, unconnected."""
        asked = dict(parse_qsl(urldefrag(self.url).fragment))
        policies = asked.get("rp", "ct").split(",")
        is_over = tries > int(asked.get("rc", 1)) or spent_seconds >= float(asked.get("tt", MOST_SECONDS * 1000)) / 1000
        return None if is_over or not {_policy(status), "all"} & set(policies) else 0.0


def _policy(status: int) -> str:
    named = {NO_CONNECTION: "ct", NO_ANSWER: "rt"}
    return named.get(status) or f"{status // 100}xx"


def of_message(accepted: Accepted) -> Sequence[Report]:
    """Return what is said of a message, first and last."""
    common = {
        "MessageSid": accepted.id,
        "SmsSid": accepted.id,
        "AccountSid": accepted.account,
        "From": accepted.resource["from"] or "",
        "To": accepted.recipient,
        "ApiVersion": "2010-04-01",
    }
    status, code = MESSAGE_ENDS[accepted.end]
    end = {"MessageStatus": status, **({"ErrorCode": code} if code else {})}
    return [{**common, **said, "SmsStatus": said["MessageStatus"]} for said in ({"MessageStatus": "sent"}, end)]


def of_call(accepted: Accepted, events: Sequence[str], dates: tuple[str, str]) -> Sequence[Report]:
    """Return what is said of a call, of those events that were asked for; without any Twilio tells the end alone.

    `dates` are those of its beginning and its end.
    """
    kept = accepted.resource
    common = {"CallSid": accepted.id, "AccountSid": accepted.account, "From": kept["from"], "To": accepted.recipient}
    answered_by = {"AnsweredBy": kept["answered_by"]} if kept["answered_by"] and accepted.end == End.DELIVERED else {}
    said = {"initiated": {"CallStatus": "initiated"}, "ringing": {"CallStatus": "ringing"}}
    if accepted.end == End.DELIVERED:
        said["answered"] = {"CallStatus": "in-progress", **answered_by}
    duration = (
        {"CallDuration": str(CALL_SECONDS), **answered_by} if accepted.end == End.DELIVERED else {"CallDuration": "0"}
    )
    said["completed"] = {"CallStatus": CALL_ENDS[accepted.end], **duration}
    more = {"Direction": "outbound-api", "ApiVersion": "2010-04-01", "CallbackSource": "call-progress-events"}
    return [
        {**common, **more, **said[event], "SequenceNumber": str(number), "Timestamp": dates[event == "completed"]}
        for number, event in enumerate(said)
        if event in (events or ["completed"])
    ]


def of_machine(accepted: Accepted) -> Report:
    """Return what the asynchronous detection says of whoever answered a call."""
    return {
        "CallSid": accepted.id,
        "AccountSid": accepted.account,
        "AnsweredBy": accepted.resource["answered_by"],
        "MachineDetectionDuration": "2400",
    }


def kind_of(report: Report) -> str:
    """Name a report by what is news in it."""
    return report.get("MessageStatus") or report.get("CallStatus") or report.get("AnsweredBy") or "inbound"


def posting(url: str, report: Report, auth_token: str) -> Posting:
    """Return the request of one report, signed."""
    bare = urldefrag(url).url
    signed = bare + "".join(name + report[name] for name in sorted(report))
    digest = hmac.new(auth_token.encode(), signed.encode(), hashlib.sha1).digest()
    headers = {
        "Content-Type": "application/x-www-form-urlencoded; charset=UTF-8",
        "User-Agent": "TwilioProxy/1.1",
        "X-Twilio-Signature": base64.b64encode(digest).decode(),
    }
    return Posting(bare, headers, urlencode(report).encode())
