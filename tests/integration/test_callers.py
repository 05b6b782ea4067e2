"""Who may call back: read once for many, and strangers cost little."""

import asyncio
from collections.abc import Collection
from uuid import UUID, uuid4

import psycopg
import pytest

from admission import accounts as admission
from config.database import Pool
from config.settings import Settings
from console import callers as memory
from console.callers import Callers
from providers.base import PROVIDER_WIDE, Account
from tests.integration.test_webhooks import door


class Counted(admission.Accounts):
    """Counts the looks at the database, and for how many tenants each was."""

    looks: list[int]

    async def of_callbacks(self, provider: str, tenants: Collection[UUID]) -> dict[UUID, Account]:
        self.looks.append(len(tenants))
        return await super().of_callbacks(provider, tenants)


@pytest.fixture
def counted(ledger: Pool, settings: Settings) -> Counted:
    made = door(ledger, settings).callers._accounts
    counting = Counted.__new__(Counted)
    counting.__dict__.update(made.__dict__)
    counting.looks = []
    return counting


def connected(owner: psycopg.Connection) -> UUID:
    tenant = uuid4()
    owner.execute(
        "INSERT INTO ai_settings_twilio (tenant_id, twilio_account_sid, twilio_auth_token, twilio_phone_number,"
        " is_connected) VALUES (%s, 'AC1', 'own', '+15005550006', true)",
        (tenant,),
    )
    return tenant


async def test_many_are_looked_up_together_and_remembered(counted: Counted, owner: psycopg.Connection) -> None:
    callers = Callers(counted)
    known, strangers = [connected(owner) for _ in range(3)], [uuid4() for _ in range(50)]
    everybody = [*known, PROVIDER_WIDE, *strangers]

    found = await asyncio.gather(*(callers.account("twilio", tenant) for tenant in everybody))

    assert [one.tenant_id for one in found if one] == [*known, PROVIDER_WIDE]
    assert counted.looks == [len(everybody)]
    again = await asyncio.gather(*(callers.account("twilio", tenant) for tenant in everybody))
    assert (again, counted.looks) == (found, [len(everybody)])
    assert await callers.account("resend", known[0]) is None, "an account is of one provider"


async def test_what_is_remembered_grows_old(
    counted: Counted, owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "CACHE_SECONDS", 0.0)
    callers = Callers(counted)
    tenant = uuid4()
    assert await callers.account("twilio", tenant) is None
    owner.execute(
        "INSERT INTO ai_settings_twilio (tenant_id, twilio_account_sid, twilio_auth_token, twilio_phone_number)"
        " VALUES (%s, 'AC1', 'own', '+15005550006')",
        (tenant,),
    )
    assert await callers.account("twilio", tenant) is not None


async def test_strangers_fill_no_memory_and_push_nobody_out(counted: Counted, owner: psycopg.Connection) -> None:
    callers = Callers(counted, remembered=10)
    known = connected(owner)
    await callers.account("twilio", known)

    await asyncio.gather(*(callers.account("twilio", uuid4()) for _ in range(100)))

    assert len(callers._strangers) == 10
    looks = list(counted.looks)
    assert await callers.account("twilio", known) is not None
    assert counted.looks == looks
