"""From configuration to an account: the fingerprint, and the stand-in credentials of a stand-in vendor."""

import hashlib

from pydantic import SecretStr

from providers.base import Halted
from providers.urls import is_loopback

SIMULATED = "simulated"
"""What stands for a missing credential where the vendor is a stand-in on this machine: it opens nothing."""


def fingerprint(provider: str, *secrets: str) -> str:
    """Return 16 hexadecimal digits that change with the credentials and reveal nothing of them."""
    return hashlib.sha256("\x00".join((provider, *secrets)).encode()).hexdigest()[:16]


def required(value: SecretStr | str | None, variable: str, base_url: str, stand_in: str = SIMULATED) -> str:
    """Return a credential of the environment. Raises Halted where it is missing, naming the variable."""
    plain = value.get_secret_value() if isinstance(value, SecretStr) else value
    if plain:
        return plain
    if is_loopback(base_url):
        return stand_in
    raise Halted("not_configured", f"{variable} is not set, and the tenant has no settings of its own")
