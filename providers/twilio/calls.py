"""Calls: the form that Twilio's Call resource takes, with the instructions inline."""

from urllib.parse import urlencode
from xml.sax.saxutils import escape

from providers.base import Halted, Message, Rejected
from providers.payload import optional_text
from providers.urls import public_https

PATH = "Calls.json"
TWIML_LIMIT = 4000
"""Characters of inline TwiML (Twilio's Call resource, parameter Twiml)."""


def body(message: Message, sender: str) -> bytes:
    """Return the form of one call. Raises Rejected, and Halted where the sender cannot call."""
    if sender.startswith("MG"):
        raise Halted("no_sender", "a messaging service cannot call; set a number in the Twilio settings")
    twiml = _instructions(message)
    if len(twiml) > TWIML_LIMIT:
        raise Rejected("say_too_long", f"the call's instructions have {len(twiml)} characters, at most {TWIML_LIMIT}")
    return urlencode([("To", message.address or ""), ("From", sender), ("Twiml", twiml)]).encode()


def _instructions(message: Message) -> str:
    payload = message.payload
    twiml = optional_text(payload, "twiml")
    if twiml:
        return twiml
    if payload.get("audio_url"):
        url = public_https(payload["audio_url"], "audio_url")
        return f"<Response><Play>{escape(url)}</Play></Response>"
    say = optional_text(payload, "say")
    if say and say.strip():
        return f"<Response><Say>{escape(say)}</Say></Response>"
    raise Rejected("missing_say", "payload has neither say, audio_url nor twiml; set what the call is to say")
