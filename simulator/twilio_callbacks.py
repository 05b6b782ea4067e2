"""Twilio's status callbacks: what they say and how they are signed.

Follows twilio.com/docs/usage/security (X-Twilio-Signature), /docs/messaging/guides/track-outbound-message-status and
/docs/voice/api/call-resource (StatusCallback parameters). Two of each: one when it has begun, one at its end.
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from urllib.parse import urldefrag, urlencode

from simulator.callbacks import Posting
from simulator.ledger import Accepted

Report = Mapping[str, str]


def of_message(accepted: Accepted, *, is_delivered: bool) -> Sequence[Report]:
    """Return what is said of a message, first and last."""
    common = {
        "MessageSid": accepted.id,
        "SmsSid": accepted.id,
        "AccountSid": accepted.account,
        "To": accepted.recipient,
    }
    end = {"MessageStatus": "delivered"} if is_delivered else {"MessageStatus": "undelivered", "ErrorCode": "30003"}
    return [
        {**common, **said, "SmsStatus": said["MessageStatus"], "ApiVersion": "2010-04-01"}
        for said in ({"MessageStatus": "sent"}, end)
    ]


def of_call(accepted: Accepted, events: Sequence[str], *, is_delivered: bool) -> Sequence[Report]:
    """Return what is said of a call, of those events that were asked for; without any Twilio tells the end alone."""
    common = {"CallSid": accepted.id, "AccountSid": accepted.account, "To": accepted.recipient}
    end = {"CallStatus": "completed", "CallDuration": "7"} if is_delivered else {"CallStatus": "no-answer"}
    said = {"initiated": {"CallStatus": "initiated"}, "completed": end}
    return [
        {**common, **said[event], "SequenceNumber": str(number), "CallbackSource": "call-progress-events"}
        for number, event in enumerate(said)
        if event in (events or ["completed"])
    ]


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
