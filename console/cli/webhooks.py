"""`fleet webhooks`: the secrets of callbacks, and what came of them."""

import sys
from uuid import UUID

import click

from config.database import Pool
from config.settings import Settings, load
from console.cli.callbacks import list_, replay
from console.cli.ledger import actor, with_ledger
from console.cli.speech import Exit, FleetGroup, fail, say
from outbox import accounts
from providers.base import PROVIDER_WIDE
from providers.generic import NAME as GENERIC
from providers.signatures import check_standard, check_tokens

KEEPERS = ("resend", "vapi", GENERIC)
"""Whose callbacks are checked with a secret of their own, which is all that a tenant with settings needs to be heard.

Twilio signs with the account's auth token."""
_STANDARD = ("resend", GENERIC)


@click.command()
@click.argument("provider", type=click.Choice(KEEPERS))
@click.argument("tenant", type=click.UUID)
def secret(provider: str, tenant: UUID) -> None:
    """Keep the secret that a tenant's callbacks are checked with, sealed; it is read from standard input.

    It replaces the one before. While a vendor changes from one to another, give both, separated by a blank.
    """
    settings = load()
    if tenant == PROVIDER_WIDE:
        fail(_of_environment(provider), Exit.USAGE)
    if not settings.keyring.keys:
        fail("FLEET_ENCRYPTION_KEYS is not set: a secret is kept sealed, or not at all", Exit.USAGE)
    given = _usable(provider, _read())
    sealed = settings.keyring.seal(given, tenant)
    has_account = with_ledger(lambda pool: _keep(pool, provider, tenant, sealed))
    say(f"kept; callbacks come to {_address(settings, provider, tenant)}")
    if not has_account:
        say(f"note: the tenant has no settings for {provider} yet; nothing comes in until it has")


async def _keep(pool: Pool, provider: str, tenant: UUID, sealed: str) -> bool:
    """Keep it; tell whether the tenant has settings for the provider, usable or not: without, its door stays shut."""
    await accounts.keep_webhook_secret(pool, tenant, provider, sealed, actor=actor())
    return bool(await accounts.settings_of(pool, provider, [tenant]))


def _read() -> str:
    """Return what comes on standard input; a person is asked, and does not see what is typed."""
    if not sys.stdin.isatty():
        return " ".join(sys.stdin.read().split())
    asked: str = click.prompt("The secret", hide_input=True, err=True)
    return " ".join(asked.split())


def _usable(provider: str, given: str) -> str:
    """Return the secret where the provider's callbacks can be checked with it. What is said does not show it."""
    if not given:
        fail("there is no secret on standard input", Exit.USAGE)
    if not given.isascii() or not given.isprintable():
        fail("the secret has a character that no secret has; give it again", Exit.USAGE)
    try:
        check_standard(given) if provider in _STANDARD else check_tokens(given)
    except ValueError as why:
        fail(str(why), Exit.USAGE)
    return given


def _of_environment(provider: str) -> str:
    if provider == GENERIC:
        return "the generic door is a tenant's own, and the nil uuid is none"
    return f"the nil uuid is the environment's account; its secret is {provider.upper()}_WEBHOOK_SECRET"


def _address(settings: Settings, provider: str, tenant: UUID) -> str:
    return f"{settings.public_url or ''}/webhooks/{provider}/{tenant}"


webhooks = FleetGroup(
    "webhooks", help="The vendors' callbacks: secrets, and what came in.", commands=[list_, replay, secret]
)
