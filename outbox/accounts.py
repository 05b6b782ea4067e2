"""Provider accounts as the ledger knows them: tenants' settings rows, and which accounts are halted.

Refuses to read credentials: a row's values are handed on as they stand, sealed or not.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from uuid import UUID

from config.channels import CHANNELS, Channel
from config.database import Pool, run
from outbox import storable
from outbox.queries import load

_SQL = load("accounts")


@dataclass(frozen=True, slots=True)
class TenantSettings:
    """A tenant's row for one provider. A tenant that has one never uses the environment's account."""

    tenant_id: UUID
    connected: bool
    values: Mapping[str, str]
    webhook_secret: str = field(default="", repr=False)
    """What the provider's callbacks to this tenant are checked with."""


@dataclass(frozen=True, slots=True)
class Halt:
    """Why an account may not send, and for how many seconds still."""

    tenant_id: UUID
    fingerprint: str
    code: str
    reason: str
    seconds: float


async def settings_of(pool: Pool, provider: str, tenants: Collection[UUID]) -> dict[UUID, TenantSettings]:
    """Return the settings rows of those tenants that have one for this provider."""
    if provider not in _SQL:
        return {}
    rows = await run(pool, _SQL[provider], tenants=list(tenants))
    return {row[0]: TenantSettings(*row) for row in rows}


async def keep_webhook_secret(pool: Pool, tenant_id: UUID, provider: str, sealed: str, *, actor: str) -> None:
    """Keep the secret, already sealed, that a provider's callbacks to one tenant are checked with from now on."""
    await run(pool, _SQL["keep_webhook_secret"], tenant_id=tenant_id, provider=provider, sealed=sealed, actor=actor)


async def halts_of(pool: Pool, provider: str, tenants: Collection[UUID]) -> dict[UUID, Halt]:
    """Return which of the accounts (by tenant; the nil uuid is the environment's) are halted now."""
    return {row[0]: Halt(*row) for row in await run(pool, _SQL["halts"], provider=provider, tenants=list(tenants))}


async def halt(pool: Pool, account: tuple[UUID, str, str], *, code: str, reason: str, seconds: float) -> None:
    """Stop an account (tenant, provider, fingerprint) for `seconds`; then one bundle may find out whether it works."""
    tenant_id, provider, fingerprint = account
    await run(
        pool,
        _SQL["halt"],
        tenant_id=tenant_id,
        provider=provider,
        fingerprint=fingerprint,
        code=storable.text(code),
        reason=storable.text(reason),
        seconds=seconds,
    )


async def is_any_halted(pool: Pool) -> bool:
    """Tell whether an account of a tenant's own is halted now."""
    found: bool = (await run(pool, _SQL["is_halted"], nobody=UUID(int=0)))[0][0]
    return found


async def put_off(
    pool: Pool, channel: Channel, *, spread_seconds: float, limit: int, late_after_seconds: float | None = None
) -> int:
    """Put off what is due of tenants whose own account is halted, until the halt is over; return how many messages.

    scheduled → scheduled, later, with the halt's reason. Looks at the first `limit` of each band of priority; they come
    back spread over `spread_seconds`. `late_after_seconds` as in `claims.claim`.
    """
    rows = await run(
        pool,
        _SQL["put_off"],
        channel=channel.value,
        provider=CHANNELS[channel].default_provider,
        spread_seconds=spread_seconds,
        limit=limit,
        late_after_seconds=late_after_seconds,
    )
    return len(rows)
