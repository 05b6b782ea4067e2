"""From a tenant to the credentials that its messages go out under.

A tenant with a settings row of its own uses that one or none: a row that cannot be used halts the account and never
falls back to the environment's, which would send one customer's messages in another's name.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace
from time import monotonic
from uuid import UUID

from config import log
from config.database import Pool
from config.seal import Keyring, SealBroken
from config.settings import VendorSettings
from outbox import accounts as ledger
from providers.base import PROVIDER_WIDE, Account, Halted
from providers.receivers import Receiver

CACHE_SECONDS = 5.0
"""How long a changed key may go unnoticed; a busy worker would otherwise read the settings for every bundle."""
HALT_SECONDS = 120.0
"""After this, a bundle of the account finds out whether it works again."""
_NO_CREDENTIALS = ""
"""In the place of a fingerprint: whatever credentials the tenant sets are others. What was put off meanwhile waits all
the same until the halt would have ended."""

Resolved = Account | Halted

_log = log.get(__name__)


class Accounts:
    """The accounts of one process, remembered for a few seconds."""

    def __init__(
        self,
        pool: Pool,
        providers: Mapping[str, Receiver],
        settings: Mapping[str, VendorSettings],
        keyring: Keyring,
        public_url: str | None = None,
    ) -> None:
        """`public_url` is where vendors reach the fleet, None where they do not."""
        self._public_url = public_url
        self._pool = pool
        self._providers = providers
        self._settings = settings
        self._keyring = keyring
        self._known: dict[tuple[str, UUID], tuple[float, Resolved]] = {}

    async def resolve(self, provider: str, tenants: Collection[UUID]) -> dict[UUID, Resolved]:
        """Return the account of each tenant, or why it has none that may send now."""
        now = monotonic()
        fresh = {tenant: known for tenant in tenants if (known := self._remembered(provider, tenant, now))}
        missing = [tenant for tenant in tenants if tenant not in fresh]
        if missing:
            found = await self._read(provider, missing)
            self._forget(now)
            self._known.update({(provider, tenant): (now, one) for tenant, one in found.items()})
            fresh |= found
        return fresh

    async def of_callbacks(self, provider: str, tenants: Collection[UUID]) -> dict[UUID, Account]:
        """Return whose callbacks come to `tenants` (`PROVIDER_WIDE`: the environment's); without settings, none.

        Halted, disconnected, or with too little left to send by, it may still hear what became of what it sent: what
        is returned can check a proof and nothing else. Read anew each time.
        """
        own = [tenant for tenant in tenants if tenant != PROVIDER_WIDE]
        rows = await ledger.settings_of(self._pool, provider, own) if own else {}
        found = {tenant: self._ear(provider, row) for tenant, row in rows.items()}
        if PROVIDER_WIDE in tenants:
            found[PROVIDER_WIDE] = self._shared_ear(provider)
        return {tenant: account for tenant, account in found.items() if isinstance(account, Account)}

    async def halt(self, account: Account, why: Halted) -> None:
        """Stop an account that its vendor refused, for all processes; all of its messages will show the reason."""
        self._known.clear()
        whose = (account.tenant_id, account.provider, account.fingerprint)
        await ledger.halt(self._pool, whose, code=why.code, reason=why.reason_under(account), seconds=HALT_SECONDS)

    def _remembered(self, provider: str, tenant: UUID, now: float) -> Resolved | None:
        read_at, known = self._known.get((provider, tenant), (0.0, None))
        return known if known is not None and now - read_at < CACHE_SECONDS else None

    def _forget(self, now: float) -> None:
        """Drop what is too old to be used: opened secrets of every tenant there ever was would stay in memory."""
        self._known = {whose: known for whose, known in self._known.items() if now - known[0] < CACHE_SECONDS}

    async def _read(self, provider: str, tenants: Collection[UUID]) -> dict[UUID, Resolved]:
        rows = await ledger.settings_of(self._pool, provider, tenants)
        halts = await ledger.halts_of(self._pool, provider, [*tenants, PROVIDER_WIDE])
        own = {tenant: self._own(provider, row) for tenant, row in rows.items()}
        await self._halt_unusable(provider, own, halts)
        shared = self._shared(provider)
        return {tenant: _unless_halted(own.get(tenant, shared), halts) for tenant in tenants}

    async def _halt_unusable(
        self, provider: str, own: Mapping[UUID, Resolved], halts: Mapping[UUID, ledger.Halt]
    ) -> None:
        """Have the ledger hold what is due of tenants whose settings cannot be used, as if their vendor had refused."""
        for tenant, why in own.items():
            if isinstance(why, Halted) and tenant not in halts:
                whose = (tenant, provider, _NO_CREDENTIALS)
                await ledger.halt(self._pool, whose, code=why.code, reason=why.reason, seconds=HALT_SECONDS)

    def _shared(self, provider: str) -> Resolved:
        try:
            return self._reached(self._providers[provider].account_from_environment(self._settings.get(provider)))
        except Halted as why:
            return why

    def _own(self, provider: str, row: ledger.TenantSettings) -> Resolved:
        if not row.connected:
            return Halted("not_connected", f"the tenant's {provider} settings are not connected")
        return self._opened(provider, row)

    def _opened(self, provider: str, row: ledger.TenantSettings) -> Resolved:
        try:
            opened = {name: self._keyring.open(value, row.tenant_id) for name, value in row.values.items()}
            opened["webhook_secret"] = self._webhook_secret(provider, row)
            settings = self._settings.get(provider)
            return self._reached(self._providers[provider].account_of_tenant(row.tenant_id, opened, settings))
        except SealBroken as broken:
            return Halted("unreadable_settings", f"the tenant's {provider} settings cannot be opened: {broken}")
        except Halted as why:
            return why

    def _shared_ear(self, provider: str) -> Resolved:
        try:
            return self._providers[provider].ear_from_environment(self._settings.get(provider))
        except Halted as why:
            return why

    def _ear(self, provider: str, row: ledger.TenantSettings) -> Resolved:
        proofs = {name: self._opened_or_nothing(value, row) for name, value in row.values.items()}
        proofs["webhook_secret"] = self._webhook_secret(provider, row)
        try:
            return self._providers[provider].ear_of_tenant(row.tenant_id, proofs)
        except Halted as why:
            return why

    def _opened_or_nothing(self, value: str, row: ledger.TenantSettings) -> str:
        """Open what opens: what sends proves no callback, and a proof that does not open proves none."""
        try:
            return self._keyring.open(value, row.tenant_id)
        except SealBroken:
            return ""

    def _webhook_secret(self, provider: str, row: ledger.TenantSettings) -> str:
        """Return the secret of a tenant's callbacks. One that does not open closes its door and stops no sending."""
        try:
            return self._keyring.open(row.webhook_secret, row.tenant_id)
        except SealBroken as broken:
            _log.warning("webhook_secret_unreadable", provider=provider, tenant_id=str(row.tenant_id), why=str(broken))
            return ""

    def _reached(self, account: Account) -> Account:
        """Tell the account where its vendor reaches us: the path of `console.webhooks`."""
        if self._public_url is None:
            return account
        return replace(account, webhook_url=f"{self._public_url}/webhooks/{account.provider}/{account.tenant_id}")


def _unless_halted(account: Resolved, halts: Mapping[UUID, ledger.Halt]) -> Resolved:
    if isinstance(account, Halted):
        return account
    halt = halts.get(account.tenant_id)
    # New credentials are not halted by what the old ones did.
    return Halted(halt.code, halt.reason) if halt and halt.fingerprint == account.fingerprint else account
