"""Text messages: the form that Twilio's Message resource takes."""

from collections.abc import Sequence

from providers.base import Message, Rejected
from providers.payload import as_form, objects, optional_text
from providers.urls import public_https

PATH = "Messages.json"
BODY_LIMIT = 1600
"""Characters; error 21617."""
MEDIA_LIMIT = 10


def body(message: Message, sender: str, callbacks: Sequence[tuple[str, str]] = ()) -> bytes:
    """Return the form of one text message, with the fields that ask for its callbacks. Raises Rejected."""
    text = optional_text(message.payload, "body", limit=BODY_LIMIT)
    media = [public_https(url, "media_urls") for url in objects(message.payload, "media_urls", limit=MEDIA_LIMIT)]
    if not (text and text.strip()) and not media:
        raise Rejected("missing_body", "payload.body is empty; set the text of the message")
    form = [("To", message.address or ""), sender_field(sender)]
    if text:
        form.append(("Body", text))
    form += [("MediaUrl", url) for url in media]
    return as_form([*form, *callbacks])


def sender_field(sender: str) -> tuple[str, str]:
    """Return the form field that names the sender: a messaging service's id begins with MG."""
    return ("MessagingServiceSid" if sender.startswith("MG") else "From", sender)
