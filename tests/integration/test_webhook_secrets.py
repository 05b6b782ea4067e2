"""Doors of the vendors and of a tenant's own gateways: whose secret opens which, and what comes through them."""

import asyncio
import base64
import hashlib
import hmac
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import orjson
import psycopg
import pytest
from click.testing import CliRunner, Result

from admission.accounts import Accounts
from config.channels import Channel
from config.database import Pool
from config.settings import Settings, VendorSettings, load_together
from console.cli import main
from console.web import _door
from outbox import events
from outbox.states import Status
from providers import registry
from providers.base import PROVIDER_WIDE, Account, Provider, attempt_id
from tests.factories import column_of, insert, status_of
from tests.integration.test_events import settled
from tests.integration.test_webhooks import Web
from tests.started import Started, start

KEYS = {"FLEET_ENCRYPTION_KEYS": "k1:" + base64.b64encode(b"k" * 32).decode()}
SHARED, OWN, OTHERS = ("whsec_" + base64.b64encode(name * 8).decode() for name in (b"env", b"own", b"oth"))
ENVIRONMENT = {
    **KEYS,
    "FLEET_PUBLIC_URL": "https://fleet.acme.io",
    "RESEND_API_KEY": "re_1",
    "RESEND_WEBHOOK_SECRET": SHARED,
    "VAPI_PRIVATE_KEY": "key-1",
    "VAPI_PHONE_NUMBER_ID": "number-1",
    "VAPI_WEBHOOK_SECRET": "the-shared-token",
}
OLD, NEW = "the-token-of-before", "the-token-of-today"
NOBODY = uuid4()

Command = Callable[..., Any]


@dataclass
class Doors:
    """The receiver as the web process opens it, and what is posted to it, signed by the schemes' definitions."""

    web: Web

    async def standard(
        self, provider: str, tenant: UUID, said: Any, secret: str, *, prefix: str = "svix", id_: str = "msg_1"
    ) -> int:
        body, now = orjson.dumps(said), str(int(time.time()))
        key = base64.b64decode(secret.removeprefix("whsec_"))
        made = base64.b64encode(hmac.new(key, f"{id_}.{now}.".encode() + body, hashlib.sha256).digest()).decode()
        names = {"id": id_, "timestamp": now, "signature": f"v1,{made}"}
        headers = {f"{prefix}-{name}": value for name, value in names.items()}
        return await self.web.post(f"/webhooks/{provider}/{tenant}", body, headers=headers)

    async def gateway(self, tenant: UUID, said: Any, secret: str = OWN) -> int:
        return await self.standard("generic", tenant, said, secret, prefix="webhook")

    async def vapi(self, tenant: UUID, said: Any, token: str = "the-shared-token") -> int:
        body = orjson.dumps({"message": said})
        return await self.web.post(f"/webhooks/vapi/{tenant}", body, headers={"authorization": f"Bearer {token}"})


def configured() -> tuple[Settings, dict[str, Provider], dict[str, VendorSettings]]:
    providers = registry.load()
    settings, of_vendors = load_together(ENVIRONMENT, [provider.environment for provider in providers.values()])
    return settings, providers, dict(zip(providers, of_vendors, strict=True))


def open_doors(ledger: Pool) -> Doors:
    return Doors(Web(_door(*configured(), ledger)))


def accounts_of(ledger: Pool) -> Accounts:
    """As a sending process has them."""
    settings, providers, of_vendors = configured()
    return Accounts(ledger, providers, of_vendors, settings.keyring, settings.public_url)


@pytest.fixture
async def doors(ledger: Pool) -> Doors:
    return open_doors(ledger)


@pytest.fixture
def secret_of(database_url: str, redis_url: str) -> Command:
    """Runs `fleet webhooks secret`, as a person at a terminal does."""

    async def run(provider: str, tenant: Any, given: str, **environment: str) -> Result:
        arguments = ["webhooks", "secret", provider, str(tenant)]
        env = {"DATABASE_URL": database_url, "REDIS_URL": redis_url, **KEYS, **environment}
        return await asyncio.to_thread(lambda: CliRunner().invoke(main, arguments, input=given, env=env))

    return run


def connect(owner: psycopg.Connection, provider: str = "resend") -> UUID:
    """A tenant with settings of its own."""
    tenant = uuid4()
    if provider == "resend":
        statement = (
            "INSERT INTO ai_settings_resend (tenant_id, api_key_encrypted, is_connected) VALUES (%s, 're', true)"
        )
    else:
        statement = "INSERT INTO ai_settings_voice (tenant_id, vapi_private_key, is_connected) VALUES (%s, 'key', true)"
        owner.execute(
            "INSERT INTO voice_phone_numbers (tenant_id, phone_number, provider, provider_id, is_active)"
            " VALUES (%s, '+15005550006', 'vapi', 'n1', true)",
            (tenant,),
        )
    owner.execute(statement, (tenant,))
    return tenant


async def sent(
    ledger: Pool, owner: psycopg.Connection, channel: str, provider: str, status: Status, account: UUID = PROVIDER_WIDE
) -> tuple[Started, UUID]:
    """A message after its one attempt, made under an account."""
    id_ = insert(owner, channel, provider=provider)
    started = await start(ledger, Channel(channel), provider=provider, body=None)
    await settled(ledger, started, status, provider=provider)
    owner.execute("UPDATE fleet.attempts SET account_tenant_id = %s WHERE message_id = %s", (account, id_))
    return started, id_


def mail(started: Started, id_: UUID, type_: str = "email.delivered", **data: Any) -> dict[str, Any]:
    tags = {"message_id": str(id_), "send_key": str(started.send_key)}
    about = {"email_id": f"vendor-{started.send_key}-0", "to": ["delivered@resend.dev"], "tags": tags}
    return {"type": type_, "created_at": "2026-02-22T23:41:12.126Z", "data": {**about, **data}}


async def applied(ledger: Pool) -> None:
    await events.apply(ledger, await events.claim(ledger, limit=100, lease_seconds=60))


def stored(owner: psycopg.Connection) -> list[tuple[Any, ...]]:
    return owner.execute("SELECT provider, tenant_id, event_id FROM fleet.events ORDER BY id").fetchall()


# --- through the vendors' doors


@pytest.mark.parametrize("status", [Status.SENT, Status.UNKNOWN])
async def test_a_mail_is_delivered_by_what_resend_says(
    doors: Doors, ledger: Pool, owner: psycopg.Connection, status: Status
) -> None:
    started, id_ = await sent(ledger, owner, "email", "resend", status)

    for _ in range(2):
        assert await doors.standard("resend", PROVIDER_WIDE, mail(started, id_), SHARED) == 204
    await applied(ledger)

    assert stored(owner) == [("resend", PROVIDER_WIDE, "msg_1")]
    assert (status_of(owner, id_), column_of(owner, id_, "provider_message_id")) == (
        "delivered",
        f"vendor-{started.send_key}-0",
    )


async def test_a_hard_bounce_fails_the_mail_and_suppresses_its_address(
    doors: Doors, ledger: Pool, owner: psycopg.Connection
) -> None:
    started, id_ = await sent(ledger, owner, "email", "resend", Status.SENT)
    bounce = {"type": "Permanent", "subType": "NoEmail", "message": "no such mailbox"}

    assert (
        await doors.standard("resend", PROVIDER_WIDE, mail(started, id_, "email.bounced", bounce=bounce), SHARED) == 204
    )
    await applied(ledger)

    assert (status_of(owner, id_), column_of(owner, id_, "error_code")) == ("failed", "Permanent.NoEmail")
    assert owner.execute("SELECT address, reason FROM fleet.suppressions").fetchall() == [
        ("delivered@resend.dev", "bounced")
    ]


@pytest.mark.parametrize(("reason", "end"), [("customer-ended-call", "delivered"), ("customer-busy", "failed")])
async def test_a_call_ends_as_vapi_reports(
    doors: Doors, ledger: Pool, owner: psycopg.Connection, reason: str, end: str
) -> None:
    started, id_ = await sent(ledger, owner, "voice", "vapi", Status.UNKNOWN)
    call = {
        "id": "c1",
        "type": "outboundPhoneCall",
        "name": str(attempt_id(started.send_key, id_)),
        "customer": {"number": "+14155550100", "externalId": str(id_)},
    }

    assert await doors.vapi(PROVIDER_WIDE, {"type": "status-update", "status": "ringing", "call": call}) == 204
    await applied(ledger)
    assert (status_of(owner, id_), column_of(owner, id_, "provider_message_id")) == ("sent", "c1")
    report = {"type": "end-of-call-report", "endedReason": reason, "call": call, "artifact": {"transcript": "Hello"}}
    assert await doors.vapi(PROVIDER_WIDE, report) == 204
    await applied(ledger)

    assert status_of(owner, id_) == end
    (details,) = owner.execute("SELECT details FROM fleet.events ORDER BY id DESC LIMIT 1").fetchone() or ({},)
    assert details["call"]["transcript"] == "Hello"


async def test_without_a_secret_every_door_is_shut(doors: Doors, owner: psycopg.Connection) -> None:
    tenant = connect(owner)
    for secret in (SHARED, OWN):
        assert await doors.standard("resend", tenant, {"type": "email.sent"}, secret) == 401
    assert await doors.gateway(tenant, []) == 404
    assert await doors.gateway(PROVIDER_WIDE, [], SHARED) == 404
    voice = connect(owner, "vapi")
    assert await doors.vapi(voice, {}, "the-shared-token") == 401
    assert stored(owner) == []


async def test_a_sealed_secret_opens_its_tenants_door_and_no_other(
    ledger: Pool, owner: psycopg.Connection, secret_of: Command
) -> None:
    tenant, other = connect(owner), connect(owner)
    assert (await secret_of("resend", tenant, OWN)).exit_code == 0
    assert (await secret_of("resend", other, OTHERS)).exit_code == 0
    said = {"type": "email.sent", "data": {"email_id": "e1"}}
    doors = open_doors(ledger)

    assert await doors.standard("resend", tenant, said, OWN) == 204
    for whose, secret in ((tenant, OTHERS), (tenant, SHARED), (other, OWN), (PROVIDER_WIDE, OWN)):
        assert await doors.standard("resend", whose, said, secret) == 401
    assert stored(owner) == [("resend", tenant, "msg_1")]


async def test_a_secret_copied_to_another_tenant_does_not_open_and_stops_no_sending(
    ledger: Pool, owner: psycopg.Connection, secret_of: Command
) -> None:
    tenant, other = connect(owner), connect(owner)
    await secret_of("resend", tenant, OWN)
    owner.execute(
        "INSERT INTO fleet.accounts (tenant_id, provider, webhook_secret)"
        " SELECT %s, provider, webhook_secret FROM fleet.accounts",
        (other,),
    )

    assert await open_doors(ledger).standard("resend", other, {"type": "email.sent"}, OWN) == 401
    found = (await accounts_of(ledger).resolve("resend", [tenant, other])).values()
    assert [isinstance(account, Account) and "webhook_secret" in account.credentials for account in found] == [
        True,
        False,
    ]
    assert all(isinstance(account, Account) for account in found)


async def test_two_secrets_while_the_vendor_changes_from_one_to_the_other(
    ledger: Pool, owner: psycopg.Connection, secret_of: Command
) -> None:
    tenant, voice = connect(owner), connect(owner, "vapi")
    assert (await secret_of("resend", tenant, f"{OWN}\n{OTHERS}\n")).exit_code == 0
    assert (await secret_of("vapi", voice, f"{OLD} {NEW}")).exit_code == 0
    doors = open_doors(ledger)
    for secret in (OWN, OTHERS):
        assert await doors.standard("resend", tenant, {"type": "contact.created"}, secret) == 204
    for token in (OLD, NEW):
        assert await doors.vapi(voice, {}, token) == 204
    assert (await secret_of("resend", tenant, OTHERS)).exit_code == 0
    doors = open_doors(ledger)
    assert await doors.standard("resend", tenant, {"type": "contact.created"}, OWN) == 401


# --- through the generic door


async def test_a_gateway_speaks_of_its_own_tenants_messages_only(
    ledger: Pool, owner: psycopg.Connection, secret_of: Command
) -> None:
    tenant, other = connect(owner), connect(owner)
    assert (await secret_of("generic", tenant, OWN)).exit_code == 0
    _, own = await sent(ledger, owner, "email", "resend", Status.SENT, tenant)
    _, others = await sent(ledger, owner, "email", "resend", Status.SENT, other)
    _, shared = await sent(ledger, owner, "email", "resend", Status.SENT)
    before = column_of(owner, own, "provider_message_id")
    said = [
        {"id": str(id_), "type": "delivered", "provider": "resend", "message_id": str(id_)}
        for id_ in (own, others, shared)
    ]
    doors = open_doors(ledger)

    assert await doors.gateway(tenant, said) == 204
    assert await doors.gateway(tenant, said[0]) == 204
    assert await doors.gateway(other, said) == 404
    assert await doors.gateway(tenant, said, OTHERS) == 401
    assert await doors.gateway(tenant, {"id": "1"}) == 400
    await applied(ledger)

    assert stored(owner) == [("resend", tenant, f"generic:{id_}") for id_ in (own, others, shared)]
    assert [status_of(owner, id_) for id_ in (own, others, shared)] == ["delivered", "sent", "sent"]
    assert column_of(owner, own, "provider_message_id") == before is not None


async def test_a_person_whom_a_gateway_tells_of_is_left_alone_by_its_tenant(
    ledger: Pool, owner: psycopg.Connection, secret_of: Command
) -> None:
    tenant = connect(owner)
    await secret_of("generic", tenant, OWN)
    said = {"id": "1", "type": "stopped", "provider": "twilio", "channel": "sms", "address": "+14155550100"}

    assert await open_doors(ledger).gateway(tenant, said) == 204
    await applied(ledger)

    assert owner.execute("SELECT workspace_id, channel, address, reason FROM fleet.suppressions").fetchall() == [
        (tenant, "sms", "+14155550100", "stopped")
    ]


# --- the command


async def test_a_secret_is_kept_sealed_and_written_down_by_whom(owner: psycopg.Connection, secret_of: Command) -> None:
    tenant = connect(owner)
    told = await secret_of("resend", tenant, f"  {OWN}\n", FLEET_PUBLIC_URL="https://fleet.acme.io")
    assert told.exit_code == 0
    assert told.stderr == f"kept; callbacks come to https://fleet.acme.io/webhooks/resend/{tenant}\n"
    (kept,) = owner.execute("SELECT webhook_secret FROM fleet.accounts").fetchone() or ("",)
    assert kept.startswith("v1.k1.")
    assert OWN not in kept
    assert owner.execute("SELECT action, workspace_id, subject FROM fleet.audit_log").fetchall() == [
        ("webhook_secret", tenant, "resend")
    ]
    noted = await secret_of("vapi", uuid4(), NEW)
    assert (noted.exit_code, "no settings for vapi" in noted.stderr) == (0, True)


@pytest.mark.parametrize(
    ("provider", "tenant", "given", "environment", "said"),
    [
        ("resend", NOBODY, OWN, {"FLEET_ENCRYPTION_KEYS": ""}, "FLEET_ENCRYPTION_KEYS is not set"),
        ("twilio", NOBODY, OWN, {}, "'twilio' is not one of"),
        ("resend", "7", OWN, {}, "'7' is not a valid UUID"),
        ("resend", UUID(int=0), OWN, {}, "RESEND_WEBHOOK_SECRET"),
        ("generic", UUID(int=0), OWN, {}, "the nil uuid is none"),
        ("resend", NOBODY, " \n", {}, "no secret on standard input"),
        ("resend", NOBODY, "whsec_no-secret", {}, "whsec_"),
        ("generic", NOBODY, f"{OWN} whsec_YWJj", {}, "at least 16 bytes"),
        ("vapi", NOBODY, "tökén", {}, "a character"),
        ("vapi", NOBODY, "fifteen-letters", {}, "at least 16 characters"),
        ("vapi", NOBODY, "the-long-enough-token short", {}, "at least 16 characters"),
    ],
)
async def test_what_cannot_be_kept_is_refused_with_a_sentence(
    owner: psycopg.Connection,
    secret_of: Command,
    provider: str,
    tenant: Any,
    given: str,
    environment: Mapping[str, str],
    said: str,
) -> None:
    told = await secret_of(provider, tenant, given, **environment)
    assert told.exit_code == 2
    assert said in told.stderr
    assert not given.strip() or given.strip() not in told.stderr
    assert owner.execute("SELECT FROM fleet.accounts").fetchall() == []


# --- accounts that cannot send


UNOPENABLE = "v1.gone." + base64.b64encode(b"x" * 40).decode()
"""Sealed under a key that nobody has any more."""


@pytest.mark.parametrize("api_key", ["", UNOPENABLE, "re_ü"])
async def test_a_mail_account_without_a_key_is_heard(
    ledger: Pool, owner: psycopg.Connection, secret_of: Command, api_key: str
) -> None:
    tenant = connect(owner)
    await secret_of("resend", tenant, OWN)
    owner.execute("UPDATE ai_settings_resend SET api_key_encrypted = %s, from_name = E'a\\nb'", (api_key,))
    doors, said = open_doors(ledger), {"type": "email.sent", "data": {"email_id": "e1"}}

    assert await doors.standard("resend", tenant, said, OTHERS) == 401
    assert await doors.standard("resend", tenant, said, OWN) == 204
    assert stored(owner) == [("resend", tenant, "msg_1")]


@pytest.mark.parametrize("key", ["key", "", UNOPENABLE])
async def test_a_voice_account_without_a_number_or_a_key_is_heard(
    ledger: Pool, owner: psycopg.Connection, secret_of: Command, key: str
) -> None:
    tenant, token = connect(owner, "vapi"), "the-tenants-own-token"
    await secret_of("vapi", tenant, token)
    owner.execute("UPDATE voice_phone_numbers SET is_active = false")
    owner.execute("UPDATE ai_settings_voice SET vapi_private_key = %s", (key,))
    doors = open_doors(ledger)

    assert await doors.vapi(tenant, {}, "another") == 401
    assert await doors.vapi(tenant, {}, token) == 204


@pytest.mark.parametrize("missing", ["VAPI_PHONE_NUMBER_ID", "VAPI_PRIVATE_KEY", "RESEND_API_KEY"])
async def test_an_environment_that_cannot_send_is_heard(
    ledger: Pool, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.delitem(ENVIRONMENT, missing)
    doors = open_doors(ledger)
    assert await doors.vapi(PROVIDER_WIDE, {}) == 204
    assert await doors.vapi(PROVIDER_WIDE, {}, "another") == 401
    assert await doors.standard("resend", PROVIDER_WIDE, {"type": "contact.created"}, SHARED) == 204


async def test_an_environment_without_a_secret_has_no_door(ledger: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(ENVIRONMENT, "VAPI_WEBHOOK_SECRET")
    assert await open_doors(ledger).vapi(PROVIDER_WIDE, {}, "shared-token") == 404
