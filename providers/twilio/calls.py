"""Calls: the form that Twilio's Call resource takes, with the instructions inline."""

import re
from collections.abc import Sequence
from xml.parsers import expat
from xml.sax.saxutils import escape

from providers.base import Halted, Message, Rejected
from providers.payload import as_form, optional_text
from providers.urls import public_https

PATH = "Calls.json"
TWIML_LIMIT = 4000
"""Characters of inline TwiML (Twilio's Call resource, parameter Twiml)."""
_EVENTS = [("StatusCallbackEvent", event) for event in ("initiated", "ringing", "answered", "completed")]
"""Without them Twilio reports a call's end alone; its beginning proves earlier that it was taken."""
_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""XML 1.0, section 2.2. None of them is spoken, and one alone would end the call with an error."""
_CARRIAGE_RETURN = {"\r": "&#13;"}
"""An XML parser reads a bare one as a line feed."""


def body(message: Message, sender: str, callbacks: Sequence[tuple[str, str]] = ()) -> bytes:
    """Return the form of one call, with the fields that ask for its callbacks.

    Raises Rejected, and Halted where the sender cannot call.
    """
    if sender.startswith("MG"):
        raise Halted("no_sender", "a messaging service cannot call; set a number in the Twilio settings")
    twiml = _instructions(message)
    if len(twiml) > TWIML_LIMIT:
        reason = f"payload makes instructions of {len(twiml)} characters, at most {TWIML_LIMIT} can be sent"
        raise Rejected("say_too_long", f"{reason}; & < and > count as several")
    form = [("To", message.address or ""), ("From", sender), ("Twiml", twiml), *callbacks]
    if callbacks:
        form += _EVENTS
    return as_form(form)


def _instructions(message: Message) -> str:
    payload = message.payload
    twiml = optional_text(payload, "twiml", limit=TWIML_LIMIT)
    if twiml:
        return _well_formed(twiml)
    if payload.get("audio_url"):
        url = public_https(payload["audio_url"], "audio_url")
        return f"<Response><Play>{escape(url)}</Play></Response>"
    say = _NOT_IN_XML.sub(" ", optional_text(payload, "say") or "")
    if say.strip():
        return f"<Response><Say>{escape(say, _CARRIAGE_RETURN)}</Say></Response>"
    raise Rejected("missing_say", "payload has neither say, audio_url nor twiml; set what the call is to say")


def _well_formed(twiml: str) -> str:
    roots: list[str] = []
    parser = expat.ParserCreate()
    parser.StartElementHandler = lambda name, _attributes: roots.append(name)
    try:
        parser.Parse("" if "<!DOCTYPE" in twiml else twiml, True)
    except (expat.ExpatError, UnicodeEncodeError):
        roots.clear()
    if roots[:1] != ["Response"]:
        raise Rejected("invalid_twiml", "payload.twiml must be well-formed XML: a Response, without a document type")
    return twiml
