"""From the messages that passed every refusal to requests and to the batches that the ledger keeps of them.

Called inside the start's transaction, because only then it is known who travels; it computes and nothing else. The
bytes that are stored for a replay are the bytes that are sent.
"""

import base64
import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from config.catalog import CATALOG
from outbox import starts
from providers.base import Provider, Request
from workers.prepare import Group, Prepared

COMPRESSION_LEVEL = 1
"""Measured on a hundred mails of 1.5 kB: 178 bytes and 7 us a message; higher levels cost more than they save."""


@dataclass(frozen=True, slots=True)
class Composed:
    """A group as it was started: the members that travel, and their requests."""

    group: Group
    members: Sequence[Prepared]
    requests: Sequence[Request]


class Composition:
    """The groups of one start."""

    def __init__(self, providers: Mapping[str, Provider], groups: Sequence[Group]) -> None:
        self._providers = providers
        self._groups = groups
        self.composed: list[Composed] = []

    def batches(self, started: Collection[UUID]) -> list[starts.Batch]:
        """Compose what travels; return its batches. Called again where the start's transaction is repeated."""
        chosen = set(started)
        self.composed = [composed for group in self._groups if (composed := self._compose(group, chosen)).members]
        return [_batch(composed) for composed in self.composed]

    def _compose(self, group: Group, started: Collection[UUID]) -> Composed:
        members = [member for member in group.members if member.row.id in started]
        provider = self._providers[group.account.provider]
        together = [members] if CATALOG[provider.name].idempotent else [[member] for member in members]
        return Composed(group, members, [_request(provider, group, some) for some in together if some])


def requests_of(group: Group) -> int:
    """Return how many requests a group comes to if all of it is started."""
    return 1 if CATALOG[group.account.provider].idempotent else len(group.members)


def stored(body: bytes) -> str:
    """Return a request's body as `fleet.batches` keeps it."""
    return base64.b64encode(zlib.compress(body, COMPRESSION_LEVEL)).decode()


def restored(body: bytes) -> bytes:
    """Return the bytes of a request from what `fleet.batches` kept of them."""
    return zlib.decompress(body)


def _request(provider: Provider, group: Group, members: Sequence[Prepared]) -> Request:
    parts = [member.part for member in members]
    return provider.request(
        provider.join(parts), parts[0].path, [part.message_id for part in parts], group.account, group.send_key
    )


def _batch(composed: Composed) -> starts.Batch:
    account = composed.group.account
    replayable = CATALOG[account.provider].idempotent
    return starts.Batch(
        send_key=composed.group.send_key,
        provider=account.provider,
        account=account.fingerprint,
        account_tenant_id=account.tenant_id,
        member_ids=[member.row.id for member in composed.members],
        addresses=[member.address for member in composed.members],
        body=stored(composed.requests[0].body) if replayable else None,
    )
