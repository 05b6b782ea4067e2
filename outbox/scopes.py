"""Scopes: which messages a pause or a cancel is about, where that is a campaign, a workspace, a channel or a provider.

Owns the scope's key, the same text by which `fleet.pauses` holds a message (see fleet.scope_keys). Refuses finer
filters: what no key can say, no mark can hold, and is changed message by message (`outbox.search`).
"""

from dataclasses import asdict, dataclass, fields
from typing import Any
from uuid import UUID

import orjson

from config.channels import CHANNELS
from outbox.search import Filter

_DEFAULT_PROVIDERS = orjson.dumps(
    {channel.value: facts.default_provider for channel, facts in CHANNELS.items()}
).decode()


@dataclass(frozen=True, slots=True)
class Scope:
    """A campaign, a workspace, a channel, a provider, or a campaign as far as one workspace has it."""

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
        if chosen != {"workspace_id", "campaign_id"} and not (len(chosen) == 1 and chosen <= named):
            return None
        return cls(**{name: getattr(wanted, name) for name in chosen})

    @property
    def key(self) -> str:
        """What `fleet.pauses.scope_key` says for it, such as `channel:sms`."""
        named = {name.removesuffix("_id"): value for name, value in asdict(self).items() if value is not None}
        return " ".join(f"{name}:{value}" for name, value in named.items())

    def parameters(self) -> dict[str, Any]:
        """Return what a statement needs to tell the scope's messages from others."""
        return {"scope_key": self.key, "campaign_id": self.campaign_id, "default_providers": _DEFAULT_PROVIDERS}
