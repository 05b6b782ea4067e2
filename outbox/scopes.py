"""Scopes: which messages a pause or a cancel is about, such as a campaign, a workspace, a channel or a provider.

Owns the scope's key, the same text by which `fleet.pauses` holds a message (see fleet.scope_keys). Refuses finer
filters: what no key can say, no mark can hold, and is changed message by message (`outbox.search`).
"""

from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from typing import Any
from uuid import UUID

import orjson

from config.channels import CHANNELS
from outbox.search import Filter

EVERYTHING = "everything"
"""The key of the scope that names nothing, to which every message belongs."""
PAIRS = ({"workspace_id", "campaign_id"}, {"workspace_id", "channel"}, {"workspace_id", "provider"})
"""What may be named together; otherwise one thing is."""

_DEFAULT_PROVIDERS = orjson.dumps(
    {channel.value: facts.default_provider for channel, facts in CHANNELS.items()}
).decode()


@dataclass(frozen=True, slots=True)
class Scope:
    """A campaign, a workspace, a channel, a provider, or as much of one of these as a workspace has; or everything.

    A workspace and a provider are the workspace's account with that provider.
    """

    workspace_id: UUID | None = None
    """Or the tenant, where a message has no workspace."""
    campaign_id: UUID | None = None
    channel: str | None = None
    provider: str | None = None
    """Messages that name none belong to their channel's default provider."""

    @classmethod
    def of(cls, wanted: Filter) -> "Scope | None":
        """Return the scope that the filter is exactly, statuses aside; None where it says more, less or nothing."""
        chosen = {name for name, value in asdict(wanted).items() if value is not None} - {"statuses"}
        named = {field.name for field in fields(cls)}
        if not chosen or not chosen <= named:
            return None
        scope = cls(**{name: getattr(wanted, name) for name in chosen})
        return scope if scope.is_one else None

    @property
    def is_one(self) -> bool:
        """Is there a key for what it names? Pauses and cancels know no other scopes."""
        named = set(_named(self))
        return len(named) <= 1 or named in PAIRS

    @property
    def key(self) -> str:
        """What `fleet.pauses.scope_key` says for it, such as `channel:sms`."""
        named = _named(self).items()
        return " ".join(f"{name.removesuffix('_id')}:{value}" for name, value in named) or EVERYTHING

    def parameters(self) -> dict[str, Any]:
        """Return what a statement needs to tell the scope's messages from others."""
        return {"scope_key": self.key, "campaign_id": self.campaign_id, "default_providers": _DEFAULT_PROVIDERS}


@lru_cache(maxsize=10_000)
def keys_of(channel: str, provider: str, workspace_id: UUID | None, campaign_id: UUID | None) -> frozenset[str]:
    """Return the keys of every scope that a message belongs to, as fleet.scope_keys does in the database.

    Remembered: while anything is paused, whatever else goes out is asked about before each request.
    """
    named = _named(Scope(workspace_id, campaign_id, channel, provider))
    alone = [Scope(**{name: value}) for name, value in named.items()]
    pairs = [Scope(**{name: named[name] for name in pair}) for pair in PAIRS if pair <= set(named)]
    return frozenset(scope.key for scope in [Scope(), *alone, *pairs])


def _named(scope: Scope) -> dict[str, Any]:
    return {name: value for name, value in asdict(scope).items() if value is not None}
