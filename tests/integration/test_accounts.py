"""Accounts in a sending process: what a halt tells whom, and how long opened secrets are kept."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from uuid import uuid4

import psycopg
import pytest

from admission import accounts
from providers.base import Account, Halted
from workers.runtime import Runtime

WHY = Halted("validation_error", "verify the domain (The acme.io domain is not verified)", advice="verify the domain")


async def shared_account(worker: Runtime) -> Account:
    tenant = uuid4()
    found = (await worker.accounts.resolve("resend", {tenant}))[tenant]
    assert isinstance(found, Account)
    return found


async def test_the_halt_of_the_shared_account_tells_no_tenant_of_another(
    worker: Runtime, owner: psycopg.Connection
) -> None:
    shared = await shared_account(worker)
    await worker.accounts.halt(shared, WHY)
    await worker.accounts.halt(replace(shared, tenant_id=uuid4()), WHY)

    stranger = uuid4()
    told = (await worker.accounts.resolve("resend", {stranger}))[stranger]
    assert isinstance(told, Halted)
    assert (told.code, told.reason) == ("validation_error", "verify the domain")
    reasons = owner.execute("SELECT halted_reason FROM fleet.accounts ORDER BY length(halted_reason)").fetchall()
    assert reasons == [("verify the domain",), (WHY.reason,)]


async def test_accounts_of_tenants_that_are_gone_are_forgotten(
    worker: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock: Iterator[float] = count(1_000.0, accounts.CACHE_SECONDS / 2)
    monkeypatch.setattr(accounts, "monotonic", lambda: next(clock))
    for _ in range(20):
        await shared_account(worker)
    assert len(worker.accounts._known) <= 3
