"""Who may call back: the account behind a provider and a tenant, remembered for a few seconds.

Owns the bound on what strangers cost: one look at the database at a time for all who ask, and a bounded memory of those
who have no account, kept apart from those who have one. Refuses to check signatures.
"""

from collections.abc import Sequence
from time import monotonic
from typing import Generic, TypeVar
from uuid import UUID

from admission.accounts import CACHE_SECONDS, Accounts
from console.gathering import Gathering
from console.outage import through_outage
from providers.base import Account

REMEMBERED = 10_000
"""Accounts; and as many that do not exist."""
ROUND_LIMIT = 500
WAITING_LIMIT = 5_000
LOOK_SECONDS = 5.0
"""For how long one who asks is held, in line and while the database is away."""

Caller = tuple[str, UUID]
"""(provider, tenant)."""

_Value = TypeVar("_Value")


class Callers:
    """The accounts that one web process hears."""

    def __init__(self, accounts: Accounts, *, remembered: int = REMEMBERED) -> None:
        self._accounts = accounts
        self._known: _Memory[Account] = _Memory(remembered)
        self._strangers: _Memory[None] = _Memory(remembered)
        self._looks: Gathering[Caller, Account | None] = Gathering(
            self._look, round_limit=ROUND_LIMIT, waiting_limit=WAITING_LIMIT, hold_seconds=LOOK_SECONDS
        )

    async def account(self, provider: str, tenant: UUID) -> Account | None:
        """Return whose callbacks come to this address; None where nobody's do.

        Raises what the database raises, TimeoutError after LOOK_SECONDS, and Overloaded where too many are asked for.
        """
        caller = (provider, tenant)
        now = monotonic()
        known = self._known.get(caller, now)
        if known is not None or self._strangers.has(caller, now):
            return known
        return await self._looks.ask(caller)

    async def _look(self, callers: Sequence[Caller]) -> Sequence[Account | None]:
        found = await through_outage(lambda: self._read(callers))
        now = monotonic()
        for caller in callers:
            if caller in found:
                self._known.put(caller, found[caller], now)
            else:
                self._strangers.put(caller, None, now)
        return [found.get(caller) for caller in callers]

    async def _read(self, callers: Sequence[Caller]) -> dict[Caller, Account]:
        tenants: dict[str, set[UUID]] = {}
        for provider, tenant in callers:
            tenants.setdefault(provider, set()).add(tenant)
        found: dict[Caller, Account] = {}
        for provider, asked in tenants.items():
            accounts = await self._accounts.of_callbacks(provider, asked)
            found |= {(provider, tenant): account for tenant, account in accounts.items()}
        return found


class _Memory(Generic[_Value]):
    """What was read, the oldest first; too old or too many, and it is forgotten: it may hold opened secrets."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._read: dict[Caller, tuple[float, _Value]] = {}

    def __len__(self) -> int:
        return len(self._read)

    def get(self, caller: Caller, now: float) -> _Value | None:
        found = self._read.get(caller)
        return found[1] if found is not None and now - found[0] < CACHE_SECONDS else None

    def has(self, caller: Caller, now: float) -> bool:
        found = self._read.get(caller)
        return found is not None and now - found[0] < CACHE_SECONDS

    def put(self, caller: Caller, value: _Value, now: float) -> None:
        self._read.pop(caller, None)
        self._read[caller] = (now, value)
        while self._read and (
            len(self._read) > self._limit or now - next(iter(self._read.values()))[0] >= CACHE_SECONDS
        ):
            del self._read[next(iter(self._read))]
