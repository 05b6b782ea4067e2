"""From configuration to an account: the fingerprint, and the stand-in credentials of a stand-in vendor."""

import hashlib
from collections.abc import Callable, Mapping
from uuid import UUID

from pydantic import AfterValidator, SecretStr

from providers.base import PROVIDER_WIDE, Account, Halted
from providers.urls import is_loopback

SIMULATED = "simulated"
"""What stands for a missing credential where the vendor is a stand-in on this machine: it opens nothing."""


def fingerprint(provider: str, base_url: str, *secrets: str) -> str:
    """Return 16 hexadecimal digits that change with the credentials and reveal nothing of them.

    They change with the vendor's address as well: whoever answers at another one does not know our send keys.
    """
    return hashlib.sha256("\x00".join((provider, base_url, *secrets)).encode()).hexdigest()[:16]


def required(value: SecretStr | str | None, variable: str, base_url: str, stand_in: str = SIMULATED) -> str:
    """Return a credential of the environment. Raises Halted where it is missing, naming the variable."""
    plain = value.get_secret_value() if isinstance(value, SecretStr) else value
    if plain and plain.strip():
        return _usable(plain, variable)
    if is_loopback(base_url):
        return stand_in
    raise Halted("not_configured", f"{variable} is not set, and the tenant has no settings of its own")


def of_tenant(row: Mapping[str, str], column: str, vendor: str) -> str:
    """Return a credential of a tenant's settings row. Raises Halted where it is missing, naming the column."""
    if not row[column].strip():
        raise Halted("not_configured", f"the tenant's {vendor} settings have no {column}")
    return _usable(row[column], column)


def webhook_secret(value: SecretStr | str | None) -> dict[str, str]:
    """Return the credential that callbacks are checked with; none where it is not set: then no callback is believed.

    It is no part of the fingerprint: whoever sends is the same under another one.
    """
    plain = value.get_secret_value() if isinstance(value, SecretStr) else value
    return {"webhook_secret": plain} if plain and plain.strip() else {}


def ear(provider: str, tenant_id: UUID, proof: Mapping[str, str]) -> Account:
    """Return an account that only hears: what its callbacks are checked with, and nothing to send by."""
    return Account(provider, tenant_id, "", "", proof)


def ear_from_environment(provider: str, secret: SecretStr | None, variable: str) -> Account:
    """Return the environment's ear. Raises Halted where the secret is not set, naming the variable."""
    proof = webhook_secret(secret)
    if not proof:
        raise Halted("not_configured", f"{variable} is not set")
    return ear(provider, PROVIDER_WIDE, proof)


def checked_by(check: Callable[[str], None]) -> AfterValidator:
    """Return what refuses a secret of the environment when a process starts, where `check` raises ValueError."""

    def validate(value: SecretStr) -> SecretStr:
        check(value.get_secret_value())
        return value

    return AfterValidator(validate)


def _usable(plain: str, name: str) -> str:
    """Return it without the blanks around it. What no header can carry would fail each message as it is sent."""
    plain = plain.strip()
    if not plain.isascii() or not plain.isprintable():
        raise Halted("invalid_credentials", f"{name} has a character that no credential has; enter it again")
    return plain
