"""The receiver: what is stored, and each way in which a request is refused."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode
from uuid import UUID, uuid4

import psycopg
import pytest
from starlette.applications import Starlette
from starlette.routing import Route
from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]

from admission.accounts import Accounts
from config.database import Pool, pool
from config.settings import Settings, load_together
from console.intake import Intake
from console.uploads import BODY_LIMIT_BYTES
from console.webhooks import Door, open_door, webhook
from outbox import events
from outbox.states import Status
from providers import registry
from providers.base import PROVIDER_WIDE, attempt_id
from tests.factories import insert, status_of
from tests.integration.test_events import sending, settled

PUBLIC_URL = "https://fleet.acme.io/in"
ENVIRONMENT = {
    "TWILIO_ACCOUNT_SID": "AC" + "e" * 32,
    "TWILIO_AUTH_TOKEN": "of the environment",
    "TWILIO_PHONE_NUMBER": "+15005550006",
}


@dataclass
class Web:
    """The receiver alone, asked as a server asks it."""

    door: Door

    async def post(
        self,
        path: str,
        body: bytes = b"",
        *,
        query: str = "",
        headers: Mapping[str, str] | None = None,
        pieces: int = 1,
    ) -> int:
        app = Starlette(routes=[Route("/webhooks/{provider}/{tenant_id:uuid}", webhook, methods=["POST"])])
        app.state.fleet = SimpleNamespace(door=self.door)
        names = {"host": "inside:8000", "content-type": "application/x-www-form-urlencoded", **(headers or {})}
        scope = {
            "type": "http",
            "method": "POST",
            "scheme": "http",
            "path": path,
            "query_string": query.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in names.items()],
        }
        size = -(-len(body) // pieces) or 1
        parts = [body[start : start + size] for start in range(0, len(body), size)] or [b""]
        statuses: list[int] = []

        async def receive() -> dict[str, Any]:
            part = parts.pop(0) if parts else b""
            return {"type": "http.request", "body": part, "more_body": bool(parts)}

        async def send(message: dict[str, Any]) -> None:
            statuses.extend([message["status"]] if "status" in message else [])

        await app(scope, receive, send)  # type: ignore[arg-type]
        return statuses[0]

    async def call_back(
        self, said: dict[str, str], *, tenant: UUID = PROVIDER_WIDE, token: str = "of the environment", query: str = ""
    ) -> int:
        """Send what Twilio would send, signed for the public address."""
        path = f"/webhooks/twilio/{tenant}"
        url = f"{PUBLIC_URL}{path}" + (f"?{query}" if query else "")
        signature = RequestValidator(token).compute_signature(url, said)
        return await self.post(path, urlencode(said).encode(), query=query, headers={"x-twilio-signature": signature})


def door(database: Pool, settings: Settings, public_url: str | None = PUBLIC_URL) -> Door:
    providers = registry.load()
    _, of_vendors = load_together(ENVIRONMENT, [provider.environment for provider in providers.values()])
    accounts = Accounts(
        database, providers, dict(zip(providers, of_vendors, strict=True)), settings.keyring, public_url
    )
    return open_door(database, providers, accounts, public_url)


@pytest.fixture
def web(ledger: Pool, settings: Settings) -> Web:
    return Web(door(ledger, settings))


def stored(owner: psycopg.Connection) -> list[tuple[Any, ...]]:
    return owner.execute(
        "SELECT tenant_id, event_id, kind, message_id, attempt_id FROM fleet.events ORDER BY id"
    ).fetchall()


async def test_a_callback_is_stored_once_and_moves_its_message(
    web: Web, ledger: Pool, owner: psycopg.Connection
) -> None:
    id_ = insert(owner, "sms")
    started = await sending(ledger)
    await settled(ledger, started, Status.UNKNOWN)
    attempt = attempt_id(started.send_key, id_)
    said = {"MessageSid": "SM1", "MessageStatus": "delivered", "To": "+14155550100"}
    query = f"attempt={attempt}&message={id_}"

    assert [await web.call_back(said, query=query) for _ in range(3)] == [204] * 3

    assert stored(owner) == [(PROVIDER_WIDE, "SM1:delivered:", "delivered", id_, attempt)]
    assert owner.execute("SELECT body->>'MessageStatus' FROM fleet.events").fetchone() == ("delivered",)
    await events.apply(ledger, await events.claim(ledger, limit=10, lease_seconds=60))
    assert status_of(owner, id_) == "delivered"


async def test_each_refusal_has_its_status_and_stores_nothing(web: Web, owner: psycopg.Connection) -> None:
    said = {"MessageSid": "SM1", "MessageStatus": "sent"}
    path = f"/webhooks/twilio/{PROVIDER_WIDE}"

    assert await web.call_back(said, token="another") == 401
    assert await web.post(path, b"MessageSid=SM1") == 401
    assert await web.call_back({"MessageSid": "SM1"}) == 400
    assert await web.call_back(said, query="message=x") == 400
    assert await web.call_back(said, query="attempt=x") == 400
    assert await web.post(path, b"x=\xff") == 401, "what is not signed is not parsed"
    assert await web.post(path, b"x=\xff", headers={"x-twilio-signature": "A" * 28}) == 400
    assert await web.call_back(said, tenant=uuid4()) == 404
    for unknown in ("/webhooks/pigeon/" + str(PROVIDER_WIDE), "/webhooks/twilio/x", "/webhooks/twilio"):
        assert await web.post(unknown) == 404
    assert await web.post(f"/webhooks/resend/{PROVIDER_WIDE}", b"{}") == 404, "it has no account here"
    assert await web.post(path, b"x" * (BODY_LIMIT_BYTES + 1), pieces=5) == 413
    assert await web.post(path, b"=" + b"x" * (BODY_LIMIT_BYTES - 1), pieces=5) == 401
    assert stored(owner) == []


async def test_a_tenants_own_token_signs_for_its_own_address_only(web: Web, owner: psycopg.Connection) -> None:
    tenant = uuid4()
    owner.execute(
        "INSERT INTO ai_settings_twilio "
        "(tenant_id, twilio_account_sid, twilio_auth_token, twilio_phone_number, is_connected)"
        " VALUES (%s, 'AC1', 'own', '+15005550006', false)",
        (tenant,),
    )
    said = {"MessageSid": "SM1", "MessageStatus": "sent"}

    assert await web.call_back(said, tenant=tenant, token="own") == 204, "also after it was disconnected"
    assert await web.call_back(said, tenant=tenant) == 401
    assert await web.call_back(said, token="own") == 401
    assert [row[0] for row in stored(owner)] == [tenant]


async def test_a_status_that_means_nothing_to_us_is_answered_and_not_stored(
    web: Web, owner: psycopg.Connection
) -> None:
    assert await web.call_back({"MessageSid": "SM1", "MessageStatus": "teleported"}) == 204
    assert stored(owner) == []


async def test_without_a_public_address_the_requests_own_counts(ledger: Pool, settings: Settings) -> None:
    web = Web(door(ledger, settings, None))
    path = f"/webhooks/twilio/{PROVIDER_WIDE}"
    said = {"MessageSid": "SM1", "MessageStatus": "sent"}
    signature = RequestValidator("of the environment").compute_signature(f"http://inside:8000{path}?message=", said)

    assert await web.post(path, urlencode(said).encode(), headers={"x-twilio-signature": signature}) == 401
    for host in ("[", "a:b", "\x00"):
        assert await web.post(path, b"x=y", headers={"host": host}) in {400, 401}


async def test_a_database_that_is_away_asks_the_vendor_to_try_again(settings: Settings, tmp_path: Any) -> None:
    away = pool(settings, f"postgresql://nobody@/nothing?host={tmp_path}&connect_timeout=1", size=1, process="test")
    away.timeout = 0.2
    await away.open()
    try:
        said = {"MessageSid": "SM1", "MessageStatus": "sent"}
        shut = replace(door(away, settings), intake=Intake(away, hold_seconds=0.3))
        assert await Web(shut).call_back(said) == 503
        assert await Web(shut).call_back(said, tenant=uuid4()) == 503
    finally:
        await away.close()


@pytest.mark.parametrize(
    ("sid", "token", "number", "answers"),
    [("AC1", "own", "", (204, 401)), ("", "own", "", (204, 401)), ("AC1", "", "", (401, 401))],
)
async def test_a_tenant_that_cannot_send_is_heard_by_its_token(
    web: Web, owner: psycopg.Connection, sid: str, token: str, number: str, answers: tuple[int, int]
) -> None:
    tenant = uuid4()
    owner.execute(
        "INSERT INTO ai_settings_twilio (tenant_id, twilio_account_sid, twilio_auth_token, twilio_phone_number)"
        " VALUES (%s, %s, %s, %s)",
        (tenant, sid, token, number),
    )
    said = {"MessageSid": "SM1", "MessageStatus": "sent"}

    assert await web.call_back(said, tenant=tenant, token=token) == answers[0], "an empty token proves nothing"
    assert await web.call_back(said, tenant=tenant, token="another") == answers[1]
