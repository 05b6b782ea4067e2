"""Twilio at the receiver's door: its own signatures, over the public address, whatever proxy stands before it."""

from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import quote, urlencode, urlsplit
from uuid import UUID

import psycopg
import pytest
from starlette.applications import Starlette
from starlette.routing import Route
from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from config.database import Pool
from config.settings import Settings
from console.webhooks import webhook
from providers.base import PROVIDER_WIDE
from tests.integration.test_webhooks import ENVIRONMENT, door
from tests.twilio_requests import JSON, json_callback

TOKEN = ENVIRONMENT["TWILIO_AUTH_TOKEN"]
PATH = f"/webhooks/twilio/{PROVIDER_WIDE}"
SAID = {"MessageSid": "SM1", "MessageStatus": "delivered", "To": "+14155550100", "Body": "a+b & c=d %41 é"}
FORWARDED = {"x-forwarded-host": "forged.example", "x-forwarded-proto": "https", "x-forwarded-prefix": "/forged"}


class Proxied:
    """The receiver behind a proxy of this machine."""

    def __init__(self, pool: Pool, settings: Settings, public_url: str | None, *, trusted: str = "") -> None:
        app = Starlette(routes=[Route("/webhooks/{provider}/{tenant_id:uuid}", webhook, methods=["POST"])])
        app.state.fleet = SimpleNamespace(door=door(pool, settings, public_url))
        self._app: Any = app
        if trusted:
            self._app = ProxyHeadersMiddleware(cast("Any", app), trusted_hosts=trusted)

    async def post(self, url: str, body: bytes, signature: str, root_path: str = "", **headers: str) -> int:
        parts = urlsplit(url)
        names = {"host": parts.netloc, "content-type": "application/x-www-form-urlencoded"}
        names |= {"x-twilio-signature": signature} | {name.replace("_", "-"): value for name, value in headers.items()}
        scope: Any = {
            "type": "http",
            "method": "POST",
            "scheme": parts.scheme,
            "path": root_path + parts.path,
            "root_path": root_path,
            "query_string": parts.query.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in names.items()],
            "client": ("127.0.0.1", 40_000),
        }
        statuses: list[int] = []

        async def receive() -> Any:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            statuses.extend([message["status"]] if "status" in message else [])

        await self._app(scope, receive, send)
        return statuses[0]


def signed(url: str, token: str = TOKEN) -> str:
    signature: str = RequestValidator(token).compute_signature(url, SAID)
    return signature


@pytest.mark.parametrize(
    "query", ["", f"?attempt={UUID(int=1)}&message={UUID(int=2)}", f"?message={quote('{')}{UUID(int=2)}{quote('}')}"]
)
@pytest.mark.parametrize("root_path", ["", "/fleet"])
@pytest.mark.parametrize(
    "public_url",
    ["https://x.example", "https://x.example/fleet", "https://x.example:8443/a/b", "http://x.example:8080"],
)
async def test_the_public_address_is_what_is_signed_wherever_the_proxy_sends_it(
    ledger: Pool, settings: Settings, owner: psycopg.Connection, public_url: str, root_path: str, query: str
) -> None:
    web = Proxied(ledger, settings, public_url)
    inside, public = f"http://10.0.0.7:8000{PATH}{query}", f"{public_url}{PATH}{query}"
    body = urlencode(SAID).encode()

    assert await web.post(inside, body, signed(public), root_path) == 204
    assert await web.post(inside, body, signed(public), root_path, **FORWARDED) == 204
    assert await web.post(inside, body, signed(inside), root_path) == 401
    for forged in ("https://forged.example", "https://forged.example/forged", "https://10.0.0.7:8000"):
        assert await web.post(inside, body, signed(f"{forged}{PATH}{query}"), root_path, **FORWARDED) == 401
    assert owner.execute("SELECT count(*), min(body->>'Body') FROM fleet.events").fetchone() == (1, SAID["Body"])


async def test_without_a_public_address_only_a_trusted_proxy_is_believed(ledger: Pool, settings: Settings) -> None:
    inside, public = f"http://x.example{PATH}", f"https://x.example{PATH}"
    body = urlencode(SAID).encode()

    alone = Proxied(ledger, settings, None)
    assert await alone.post(inside, body, signed(inside), **FORWARDED) == 204
    assert await alone.post(inside, body, signed(public), **FORWARDED) == 401
    assert await alone.post(inside, body, signed(f"https://forged.example{PATH}"), **FORWARDED) == 401
    trusting = Proxied(ledger, settings, None, trusted="127.0.0.1")
    assert await trusting.post(inside, body, signed(public), **FORWARDED) == 204
    distrusting = Proxied(ledger, settings, None, trusted="10.9.9.9")
    assert await distrusting.post(inside, body, signed(public), **FORWARDED) == 401


async def test_json_is_taken_under_its_digest(ledger: Pool, settings: Settings) -> None:
    one = json_callback(b'{"MessageSid": "SM1", "MessageStatus": "sent"}', f"https://x.example/fleet{PATH}")
    web = Proxied(ledger, settings, "https://x.example/fleet")
    inside = f"http://10.0.0.7:8000{PATH}?{urlsplit(one.url).query}"
    signature = RequestValidator(TOKEN).compute_signature(one.url, {})

    assert await web.post(inside, one.body, signature, **{"content-type": JSON}) == 204
    assert await web.post(inside, one.body + b" ", signature, **{"content-type": JSON}) == 401
