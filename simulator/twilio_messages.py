"""Plays Twilio's Messages: create, fetch, list.

Follows the vendor's OpenAPI file (twilio_api_v2010, CreateMessage, schema api.v2010.account.message),
twilio.com/docs/iam/test-credentials for the magic numbers and /docs/messaging/api/message-resource for statuses.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from simulator.addresses import is_e164, is_web_address
from simulator.content import compact_json, digest, marks_of
from simulator.ends import End
from simulator.ledger import Accepted
from simulator.marks import REJECTED, mark_of
from simulator.twilio import Twilio, new_sid
from simulator.twilio_callbacks import MESSAGE_ENDS, of_message
from simulator.twilio_errors import refusal
from simulator.twilio_form import BOOLEAN, STATUS_CALLBACK, TEXT, Form, Parameter, anything, one_of, sid, whole
from simulator.twilio_inbound import Reply, receive
from simulator.twilio_list import within_days
from simulator.vendor import Exchange

MOST_CHARACTERS = 1600
MOST_MEDIA = 10
POOL_NUMBER = "+15005550006"
"""The sender that a messaging service picks here; a message shows it once it is sent."""

_PARAMETERS = {
    "To": Parameter(is_e164, code=21211),
    "From": TEXT,
    "MessagingServiceSid": Parameter(sid("MG")),
    "Body": TEXT,
    "MediaUrl": Parameter(is_web_address, repeats=True, code=21620),
    "StatusCallback": STATUS_CALLBACK,
    "ApplicationSid": Parameter(sid("AP")),
    "ContentSid": Parameter(sid("HX")),
    "ContentVariables": TEXT,
    "ValidityPeriod": Parameter(whole(1, 36_000)),
    "Attempt": Parameter(whole(1, 1_000)),
    "MaxPrice": TEXT,
    "ProvideFeedback": BOOLEAN,
    "ForceDelivery": BOOLEAN,
    "SmartEncoded": BOOLEAN,
    "ShortenUrls": BOOLEAN,
    "SendAsMms": BOOLEAN,
    "ContentRetention": Parameter(one_of("retain", "discard")),
    "AddressRetention": Parameter(one_of("retain", "obfuscate")),
    "TrafficType": Parameter(one_of("free")),
    "RiskCheck": Parameter(one_of("enable", "disable")),
    "PersistentAction": Parameter(anything, repeats=True),
    "FallbackFrom": TEXT,
    "ScheduleType": Parameter(one_of("fixed")),
    "SendAt": TEXT,
}

_MAGIC_TO = {
    "+15005550001": 21211,
    "+15005550002": 21612,
    "+15005550003": 21408,
    "+15005550004": 21610,
    "+15005550009": 21614,
}
_MAGIC_FROM = {"+15005550001": 21212, "+15005550007": 21606, "+15005550008": 21611}

_CONSTANT = {"price": None, "price_unit": "USD"}

# A short code or a sender id of up to 11 letters, digits and spaces.
_SENDER = re.compile(r"\d{3,6}|(?=.*[A-Za-z])[A-Za-z0-9 &_+-]{1,11}")
_GSM = re.compile(r"[A-Za-z0-9@£$¥èéùìòÇØøÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,\-./:;<=>?¡ÄÖÑÜ§¿äöñüà\n\r]*")


class TwilioMessages(Twilio):
    """SMS and MMS."""

    plural = "Messages"
    kind = "message"
    filters = frozenset({"To", "From", "DateSent", "DateSent<", "DateSent>"})

    async def accept(self, exchange: Exchange) -> Accepted:
        """Accept one message."""
        form = Form(exchange, _PARAMETERS)
        _check(form)
        if (form.get("From") or POOL_NUMBER, form["To"]) in self.simulation.stopped:
            raise refusal(21610)
        await self.work(exchange, (form["To"],))
        accepted = self._record(exchange.account, form)
        if accepted.end != End.SCHEDULED:
            self.call_back(exchange, accepted, form.get("StatusCallback"), of_message(accepted))
        if accepted.end == End.UNSUBSCRIBED:
            self._answer_stop(accepted)
        return accepted

    def _answer_stop(self, accepted: Accepted) -> None:
        """Let the recipient answer STOP, when the message has arrived."""
        hook = self.simulation.hooks.of(self.name, accepted.account)
        token = self.simulation.tokens.get(accepted.account)
        if hook is None or token is None:
            return
        sender = accepted.resource["from"] or POOL_NUMBER
        reply = Reply(accepted.account, accepted.recipient, sender, "STOP", accepted.resource["service"])
        telling, _ = receive(self.simulation, reply, hook.url, hook.secret or token)
        telling.send_id = accepted.id
        self.simulation.callbacks.tell(telling, self.simulation.options.settle_seconds)

    def _record(self, account: str, form: Form) -> Accepted:
        nobody_hears_stop = self.simulation.hooks.of(self.name, account) is None
        return self.simulation.accept(
            Accepted(
                vendor=self.name,
                kind=self.kind,
                account=account,
                id=new_sid("MM" if "MediaUrl" in form else "SM"),
                recipient=form["To"],
                content_sha256=digest(_content(form)),
                marks_json=compact_json(marks_of(form.get("StatusCallback"))),
                resource_json=compact_json(_kept(form)),
                end=End.SCHEDULED if "SendAt" in form else "",
            ),
            impossible=(End.UNSUBSCRIBED,) if nobody_hears_stop else (),
        )

    def resource(self, accepted: Accepted) -> dict[str, Any]:
        """Show a message: queued, accepted or scheduled at first, delivered once it is settled."""
        kept = accepted.resource
        settled = self.simulation.settled(accepted.at_seconds) and accepted.end != End.SCHEDULED
        status, code = MESSAGE_ENDS[accepted.end] if settled else (_first_status(accepted.end, kept), None)
        # Twilio redacts what it has handed to the carrier (docs/messaging/guides/privacy-message-redaction).
        redacted = accepted.redacted and settled
        return {
            **_CONSTANT,
            **self.identity(accepted),
            **self._dates(accepted, settled),
            "subresource_uris": {"media": self.uri(accepted.account, f"{accepted.id}/Media")},
            "body": "" if redacted else kept["body"],
            "num_segments": "0" if kept["service"] and not settled else str(_segments(kept["body"])),
            "num_media": str(kept["media"]),
            "from": kept["from"] or (POOL_NUMBER if settled else None),
            "messaging_service_sid": kept["service"],
            "status": status,
            "error_code": int(code) if code else None,
            "error_message": "The message did not arrive" if code else None,
        }

    def _dates(self, accepted: Accepted, settled: bool) -> dict[str, str | None]:
        created = self.date(accepted.at_seconds)
        sent = self.date(accepted.at_seconds + self.simulation.options.settle_seconds) if settled else None
        return {"date_created": created, "date_updated": sent or created, "date_sent": sent}

    def matches(self, resource: dict[str, Any], filters: Mapping[str, str]) -> bool:
        """Filter by sender and by the day of sending."""
        return filters.get("From") in (None, resource["from"]) and within_days(
            resource["date_sent"], filters, "DateSent"
        )


def _content(form: Form) -> dict[str, Any]:
    return {
        "sender": form.get("From") or form.get("MessagingServiceSid"),
        "body": form.get("Body") or form.get("ContentSid"),
        "variables": form.get("ContentVariables"),
        "media": form.all("MediaUrl"),
    }


def _kept(form: Form) -> dict[str, Any]:
    return {
        "from": form.get("From"),
        "service": form.get("MessagingServiceSid"),
        "body": form.get("Body") or "",
        "media": len(form.all("MediaUrl")),
    }


def _check(form: Form) -> None:
    if "To" not in form:
        raise refusal(21604)
    if "From" not in form and "MessagingServiceSid" not in form:
        raise refusal(21603)
    if "Body" not in form and "MediaUrl" not in form and "ContentSid" not in form:
        raise refusal(21602)
    if len(form.get("Body") or "") > MOST_CHARACTERS:
        raise refusal(21617)
    if len(form.all("MediaUrl")) > MOST_MEDIA:
        raise refusal(21623)
    _check_schedule(form)
    _check_numbers(form.get("From"), form.get("To") or "")


def _check_numbers(sender: str | None, to: str) -> None:
    if sender is not None and not (is_e164(sender) or _SENDER.fullmatch(sender)):
        raise refusal(21212)
    if sender in _MAGIC_FROM:
        raise refusal(_MAGIC_FROM[sender])
    if to in _MAGIC_TO or mark_of(to) == REJECTED:
        raise refusal(_MAGIC_TO.get(to, 21211))


def _check_schedule(form: Form) -> None:
    send_at = form.get("SendAt")
    if send_at is None and "ScheduleType" not in form:
        return
    if send_at is None:
        raise refusal(35111)
    if "MessagingServiceSid" not in form:
        raise refusal(35118)
    try:
        ahead = datetime.fromisoformat(send_at).astimezone(UTC) - datetime.now(UTC)
    except ValueError:
        raise refusal(35114) from None
    if "ScheduleType" not in form or not timedelta(seconds=300) <= ahead <= timedelta(days=35):
        raise refusal(35114)


def _first_status(end: str, kept: dict[str, Any]) -> str:
    if end == End.SCHEDULED:
        return "scheduled"
    return "accepted" if kept["service"] else "queued"


def _segments(body: str) -> int:
    alone, joined = (160, 153) if _GSM.fullmatch(body) else (70, 67)
    units = len(body) if alone == 160 else len(body.encode("utf-16-le")) // 2
    return 1 if units <= alone else -(-units // joined)
