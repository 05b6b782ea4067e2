"""Requests as Twilio makes them, signed by Twilio's own library, and what the provider makes of them."""

import hashlib
from collections.abc import Mapping
from urllib.parse import parse_qs, urlencode
from uuid import UUID, uuid4

from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]

from providers.callbacks import Callback, Event
from tests.vendors import PROVIDERS, account_of

TOKEN = "simulated"
ACCOUNT = account_of("twilio")
ATTEMPT, MESSAGE = uuid4(), uuid4()
BARE_URL = f"https://fleet.acme.io/webhooks/twilio/{UUID(int=0)}"
URL = f"{BARE_URL}?attempt={ATTEMPT}&message={MESSAGE}"
FORM, JSON = "application/x-www-form-urlencoded; charset=UTF-8", "application/json"


def form_callback(
    said: Mapping[str, str], url: str = URL, *, signed_url: str | None = None, signature: str | None = None
) -> Callback:
    """A form, signed for `signed_url` where that is another."""
    signed = RequestValidator(TOKEN).compute_signature(signed_url or url, dict(said))
    return made(url, urlencode(said).encode(), FORM, signed if signature is None else signature)


def json_callback(body: bytes, url: str = URL) -> Callback:
    """JSON, bound to its address by its digest."""
    url = f"{url}{'&' if '?' in url else '?'}bodySHA256={hashlib.sha256(body).hexdigest()}"
    return made(url, body, JSON, RequestValidator(TOKEN).compute_signature(url, {}))


def _query(url: str) -> str:
    """Of any text: a parser would refuse what is no address."""
    return url.partition("#")[0].partition("?")[2]


def made(url: str, body: bytes, content_type: str, signature: str) -> Callback:
    """Any request, as the receiver hands it on."""
    query = {name: values[0] for name, values in parse_qs(_query(url), keep_blank_values=True).items()}
    return Callback(url, query, {"x-twilio-signature": signature, "content-type": content_type}, body)


def verify(callback: Callback) -> None:
    PROVIDERS["twilio"].verify(callback, ACCOUNT, now=0.0)


def parse(callback: Callback) -> list[Event]:
    return list(PROVIDERS["twilio"].parse(callback))


def told(said: Mapping[str, str], url: str = URL) -> Event:
    """The one event that a form tells."""
    (event,) = parse(form_callback(said, url))
    return event
