"""Who can be called back: each provider, and the generic door.

Owns what a receiver of callbacks has to have. Refuses to send: the generic door is no provider, and no message is ever
given to it.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol
from uuid import UUID

from providers import generic
from providers.base import Account, Provider
from providers.callbacks import Callback, Event


class Receiver(Protocol):
    """The part of a provider that callbacks need; `providers.base.Provider` says what each member means."""

    @property
    def name(self) -> str:
        """As in `/webhooks/{name}/{tenant_id}`."""

    def account_from_environment(self, settings: Any) -> Account:
        """Return the environment's account. Raises Halted."""

    def account_of_tenant(self, tenant_id: UUID, row: Mapping[str, str], settings: Any) -> Account:
        """Return a tenant's own account. Raises Halted."""

    def ear_from_environment(self, settings: Any) -> Account:
        """Return what hears the environment's callbacks. Raises Halted."""

    def ear_of_tenant(self, tenant_id: UUID, row: Mapping[str, str]) -> Account:
        """Return what hears a tenant's callbacks. Raises Halted."""

    def verify(self, callback: Callback, account: Account, *, now: float) -> None:
        """Check the signature. Raises BadSignature and Malformed."""

    def parse(self, callback: Callback) -> Sequence[Event]:
        """Say what a verified callback tells. Raises Malformed."""


def all_doors(providers: Mapping[str, Provider]) -> dict[str, Receiver]:
    """Return every receiver by name."""
    return {**providers, generic.NAME: generic.Generic()}
