"""Where accounts want to be called back, as they would set it in the vendor's dashboard, and what signs it.

Owns the JSON of `POST /hooks`. Resend has no other way to name an address; at Vapi it serves calls that name none
themselves, at Twilio what comes in for a number. Refuses to call: that is `simulator.callbacks`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from simulator.accounts import bearer_account
from simulator.faults import VENDORS

SCHEMES = ("secret", "hmac")
"""Vapi's: the secret itself in X-Vapi-Secret, or a signature made with it."""


@dataclass(frozen=True, slots=True)
class Hook:
    """One address of one vendor."""

    vendor: str
    url: str
    secret: str
    account: str | None = None
    """Whose callbacks go there; None: of every account that has no hook of its own."""
    scheme: str = "secret"

    @classmethod
    def parse(cls, hook: Any) -> "Hook":
        """Read the JSON of `POST /hooks`. Raises ValueError with one sentence for the caller."""
        known = {"vendor", "url", "secret", "key", "scheme"}
        if not isinstance(hook, dict) or not hook.keys() <= known or not {"vendor", "url"} <= hook.keys():
            raise ValueError(f"a hook is an object with {', '.join(sorted(known))}")
        if not all(isinstance(value, str) for value in hook.values()):
            raise ValueError("every part of a hook is text")
        vendor, scheme, key = hook["vendor"], hook.get("scheme", "secret"), hook.get("key")
        if vendor not in VENDORS or scheme not in SCHEMES:
            raise ValueError(f"vendor is one of {', '.join(VENDORS)}, scheme one of {', '.join(SCHEMES)}")
        account = key if key is None or vendor == "twilio" else bearer_account(f"Bearer {key}")
        return cls(vendor, hook["url"], hook.get("secret", ""), account, scheme)


class Hooks:
    """The hooks of all vendors; a new one takes the place of the one that the same account had."""

    def __init__(self) -> None:
        self._hooks: dict[tuple[str, str | None], Hook] = {}

    def put(self, hook: Hook) -> None:
        """Register one."""
        self._hooks[hook.vendor, hook.account] = hook

    def clear(self) -> None:
        """Forget all."""
        self._hooks.clear()

    def of(self, vendor: str, account: str | None) -> Hook | None:
        """Return where an account's callbacks go; None where nobody asked for them."""
        return self._hooks.get((vendor, account)) or self._hooks.get((vendor, None))

    def __iter__(self) -> Iterator[Hook]:
        return iter(self._hooks.values())
