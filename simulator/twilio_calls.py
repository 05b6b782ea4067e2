"""Plays Twilio's Calls: create, fetch, list.

Follows the vendor's OpenAPI file (twilio_api_v2010, CreateCall, schema api.v2010.account.call),
twilio.com/docs/iam/test-credentials for the magic numbers and /docs/voice/answering-machine-detection.
"""

import re
from collections.abc import Mapping
from typing import Any

from simulator.addresses import is_e164, is_web_address
from simulator.content import compact_json, digest, marks_of, without_attempt
from simulator.ends import End
from simulator.ledger import Accepted
from simulator.marks import REJECTED, mark_of
from simulator.twilio import Twilio, new_sid
from simulator.twilio_callbacks import CALL_ENDS, CALL_SECONDS, of_call, of_machine
from simulator.twilio_errors import refusal
from simulator.twilio_form import BOOLEAN, METHOD, STATUS_CALLBACK, TEXT, URL, Form, Parameter, one_of, sid, whole
from simulator.twilio_list import within_days
from simulator.vendor import Exchange

MOST_TWIML_CHARACTERS = 4000

_ENDPOINT = re.compile(r"(?:client|sip|sips):\S+")
_DIGITS = re.compile(r"[0-9A-D#*wW]{1,32}")
_EVENTS = one_of("initiated", "ringing", "answered", "completed")

_PARAMETERS = {
    "To": TEXT,
    "From": TEXT,
    "Url": Parameter(is_web_address, code=21205),
    "Twiml": Parameter(lambda twiml: len(twiml) <= MOST_TWIML_CHARACTERS),
    "ApplicationSid": Parameter(sid("AP")),
    "Method": METHOD,
    "FallbackUrl": URL,
    "FallbackMethod": METHOD,
    "StatusCallback": STATUS_CALLBACK,
    "StatusCallbackEvent": Parameter(_EVENTS, repeats=True, code=21626),
    "StatusCallbackMethod": METHOD,
    "SendDigits": Parameter(lambda digits: _DIGITS.fullmatch(digits) is not None),
    "Timeout": Parameter(whole(1, 600)),
    "TimeLimit": Parameter(whole(1, 14_400)),
    "Record": BOOLEAN,
    "RecordingChannels": Parameter(one_of("mono", "dual")),
    "RecordingStatusCallback": URL,
    "RecordingStatusCallbackMethod": METHOD,
    "RecordingStatusCallbackEvent": Parameter(one_of("in-progress", "completed", "absent"), repeats=True),
    "RecordingTrack": Parameter(one_of("inbound", "outbound", "both")),
    "Trim": Parameter(one_of("trim-silence", "do-not-trim")),
    "SipAuthUsername": TEXT,
    "SipAuthPassword": TEXT,
    "MachineDetection": Parameter(one_of("Enable", "DetectMessageEnd")),
    "MachineDetectionTimeout": Parameter(whole(3, 59)),
    "MachineDetectionSpeechThreshold": Parameter(whole(1_000, 6_000)),
    "MachineDetectionSpeechEndThreshold": Parameter(whole(500, 5_000)),
    "MachineDetectionSilenceTimeout": Parameter(whole(2_000, 10_000)),
    "AsyncAmd": BOOLEAN,
    "AsyncAmdStatusCallback": URL,
    "AsyncAmdStatusCallbackMethod": METHOD,
    "CallerId": TEXT,
    "CallReason": TEXT,
    "CallToken": TEXT,
    "Byoc": Parameter(sid("BY")),
    "ClientNotificationUrl": URL,
}

_MAGIC_TO = {"+15005550001": 21217, "+15005550002": 21214, "+15005550003": 21215, "+15005550004": 21216}
_MAGIC_FROM = {"+15005550001": 21212}
_ANSWERED_BY = {"Enable": "machine_start", "DetectMessageEnd": "machine_end_beep"}
_CONSTANT = {
    **dict.fromkeys(("parent_call_sid", "phone_number_sid", "forwarded_from", "group_sid", "caller_name", "trunk_sid")),
    "price": None,
    "price_unit": "USD",
    "queue_time": "0",
}
_SUBRESOURCES = ("events", "notifications", "payments", "recordings", "siprec", "streams", "transcriptions")


class TwilioCalls(Twilio):
    """Outgoing calls."""

    plural = "Calls"
    kind = "call"
    filters = frozenset({"To", "From", "Status", "StartTime", "StartTime<", "StartTime>"})

    async def accept(self, exchange: Exchange) -> Accepted:
        """Accept one call."""
        form = Form(exchange, _PARAMETERS)
        _check(form)
        await self.work(exchange, (form["To"],))
        accepted = self._record(exchange.account, form)
        dates = self.date(accepted.at_seconds), self.date(accepted.at_seconds + CALL_SECONDS)
        reports = of_call(accepted, form.all("StatusCallbackEvent"), dates)
        self.call_back(exchange, accepted, form.get("StatusCallback"), reports)
        if form.get("AsyncAmd") == "true" and accepted.end == End.DELIVERED and accepted.resource["answered_by"]:
            self.call_back(exchange, accepted, form.get("AsyncAmdStatusCallback"), [of_machine(accepted)])
        return accepted

    def _record(self, account: str, form: Form) -> Accepted:
        return self.simulation.accept(
            Accepted(
                vendor=self.name,
                kind=self.kind,
                account=account,
                id=new_sid("CA"),
                recipient=form["To"],
                content_sha256=digest(_content(form)),
                marks_json=compact_json(marks_of(form.get("StatusCallback") or form.get("Url"))),
                resource_json=compact_json(
                    {"from": form.get("From"), "answered_by": _ANSWERED_BY.get(form.get("MachineDetection") or "")}
                ),
            )
        )

    def resource(self, accepted: Accepted) -> dict[str, Any]:
        """Show a call: queued at first, completed once it is settled."""
        kept = accepted.resource
        return {
            **_CONSTANT,
            **self.identity(accepted),
            **self._progress(accepted, kept["answered_by"]),
            "from": kept["from"],
            "from_formatted": kept["from"],
            "to_formatted": accepted.recipient,
            "subresource_uris": self._subresources(accepted),
        }

    def _progress(self, accepted: Accepted, answered_by: str | None) -> dict[str, str | None]:
        settled = self.simulation.settled(accepted.at_seconds)
        spoken = settled and accepted.end == End.DELIVERED
        created = self.date(accepted.at_seconds)
        ended = self.date(accepted.at_seconds + CALL_SECONDS) if spoken else created
        return {
            "status": CALL_ENDS[accepted.end] if settled else "queued",
            "date_created": created,
            "date_updated": ended,
            "start_time": created if settled else None,
            "end_time": ended if settled else None,
            "duration": str(CALL_SECONDS) if spoken else None,
            "answered_by": answered_by if spoken else None,
        }

    def _subresources(self, accepted: Accepted) -> dict[str, str]:
        return {name: self.uri(accepted.account, f"{accepted.id}/{name.capitalize()}") for name in _SUBRESOURCES}

    def matches(self, resource: dict[str, Any], filters: Mapping[str, str]) -> bool:
        """Filter by sender, status and the day of dialling."""
        return (
            filters.get("From") in (None, resource["from"])
            and filters.get("Status") in (None, resource["status"])
            and within_days(resource["start_time"], filters, "StartTime")
        )


def _content(form: Form) -> dict[str, Any]:
    return {
        "from": form.get("From"),
        "twiml": form.get("Twiml"),
        "url": without_attempt(form.get("Url") or ""),
        "application": form.get("ApplicationSid"),
    }


def _check(form: Form) -> None:
    sender, to = form.get("From"), form.get("To")
    if to is None:
        raise refusal(21201)
    if sender is None:
        raise refusal(21213)
    if "Url" not in form and "Twiml" not in form and "ApplicationSid" not in form:
        raise refusal(21205)
    if sender in _MAGIC_FROM or not (is_e164(sender) or _ENDPOINT.fullmatch(sender)):
        raise refusal(21212)
    if to in _MAGIC_TO:
        raise refusal(_MAGIC_TO[to])
    if mark_of(to) == REJECTED or not (is_e164(to) or _ENDPOINT.fullmatch(to)):
        raise refusal(21217)
