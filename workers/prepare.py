"""From the rows of a bundle to what its vendors take, before anything is started.

Owns grouping and rendering; a crash in here harms nobody, because nothing has left the ledger's `queued` yet. Refuses
the network and the ledger: what it cannot send it returns, with the sentence that says why.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import orjson

from admission.accounts import Resolved
from config.catalog import BUNDLE_SIZE_LIMIT, CATALOG
from config.channels import CHANNELS, Channel
from outbox.addresses import Allowed, NotAnAddress, normalise
from outbox.starts import PAYLOAD_LIMIT_BYTES, Claimed
from providers.base import PROVIDER_WIDE, Account, Halted, Message, Part, Provider, Rejected, SendError, attempt_id

TRAVELS_ALONE = frozenset({"batch_refused"})
"""Error codes of a message's last attempt after which it no longer shares a request."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A rendered message with everything that its start and its settlement need."""

    row: Claimed
    address: str | None
    part: Part


@dataclass(slots=True)
class Group:
    """Messages of one account under one send key: a batch, unless its start refuses all of them."""

    account: Account
    send_key: UUID = field(default_factory=uuid4)
    members: list[Prepared] = field(default_factory=list)


@dataclass(slots=True)
class Preparation:
    """What a bundle came to: groups to start, and the messages that cannot go, each with its decision."""

    groups: list[Group] = field(default_factory=list)
    rejected: list[tuple[Claimed, Rejected]] = field(default_factory=list)
    halted: list[tuple[Claimed, Halted]] = field(default_factory=list)

    def refuse(self, row: Claimed, error: SendError) -> None:
        """Note a message that does not go, by its decision."""
        if isinstance(error, Halted):
            self.halted.append((row, error))
        else:
            self.rejected.append((row, error if isinstance(error, Rejected) else Rejected(error.code, error.reason)))


def provider_of(channel: Channel, row: Claimed) -> str:
    """Return the provider's name for a message. Raises Rejected where it does not serve the channel."""
    name = row.provider or CHANNELS[channel].default_provider
    if name not in CATALOG:
        raise Rejected(
            "unknown_provider", f"there is no provider {name!r}; set provider to one of: {_serving(channel)}"
        )
    if channel not in CATALOG[name].channels:
        raise Rejected(
            "wrong_provider", f"{name} does not serve {channel}; set provider to one of: {_serving(channel)}"
        )
    return name


def by_provider(channel: Channel, rows: Iterable[Claimed], result: Preparation) -> dict[str, list[Claimed]]:
    """Sort a bundle's rows by provider; what cannot have one is refused into `result`."""
    sorted_: dict[str, list[Claimed]] = {}
    for row in rows:
        if row.tenant_id is None:
            result.refuse(row, Rejected("no_workspace", "workspace_id and tenant_id are both empty; set the workspace"))
            continue
        try:
            sorted_.setdefault(provider_of(channel, row), []).append(row)
        except Rejected as error:
            result.refuse(row, error)
    return sorted_


class Rendering:
    """Renders the rows of one provider into groups of `result`, each no larger than its vendor takes."""

    def __init__(
        self,
        channel: Channel,
        provider: Provider,
        accounts: Mapping[UUID, Resolved],
        result: Preparation,
        allowed: Allowed,
    ) -> None:
        facts = CATALOG[provider.name]
        self._limit = facts.request_size if facts.idempotent else BUNDLE_SIZE_LIMIT
        self._channel = channel
        self._provider = provider
        self._accounts = accounts
        self._result = result
        self._allowed = allowed
        self._open: dict[UUID, Group] = {}
        """By tenant of the account: the group that still takes members."""

    def add(self, row: Claimed) -> None:
        """Render one row into the group it may travel with, or refuse it."""
        try:
            self._place(row)
        except SendError as error:
            self._result.refuse(row, error)

    def _place(self, row: Claimed) -> None:
        account = self._accounts[row.tenant_id or PROVIDER_WIDE]
        if isinstance(account, Halted):
            raise account
        shared = self._open.get(account.tenant_id) or Group(account)
        group = Group(account) if row.error_code in TRAVELS_ALONE else shared
        prepared = self._rendered(row, group)
        if group is shared and not prepared.part.batchable and self._limit > 1:
            group = Group(account)  # under a send key of its own, which the rendered message carries
            prepared = self._rendered(row, group)
        if not group.members:
            self._result.groups.append(group)
        group.members.append(prepared)
        if group is shared:
            self._open[account.tenant_id] = group
            if len(group.members) >= self._limit:
                del self._open[account.tenant_id]

    def _rendered(self, row: Claimed, group: Group) -> Prepared:
        address = _address(self._channel, row)
        if address is not None and not self._allowed.admits(address):
            raise Rejected("not_allowed_here", "FLEET_ALLOWED_RECIPIENTS does not name this recipient")
        message = Message(
            id=row.id,
            channel=self._channel,
            address=address,
            payload=_payload(row),
            attempt_id=attempt_id(group.send_key, row.id),
            send_key=group.send_key,
        )
        return Prepared(row, address, self._provider.render(message, group.account))


def _address(channel: Channel, row: Claimed) -> str | None:
    kind = CHANNELS[channel].address
    if kind is None:
        return None
    if not row.address or not row.address.strip():
        raise Rejected(
            "missing_recipient", f"recipient_{kind} is empty, and no lead or contact of the workspace has one"
        )
    try:
        return normalise(channel, row.address)
    except NotAnAddress as error:
        raise Rejected(f"invalid_{kind}", str(error)) from None


def _payload(row: Claimed) -> Mapping[str, Any]:
    if row.payload is None and row.has_payload:
        raise Rejected("payload_too_large", f"payload has more than {PAYLOAD_LIMIT_BYTES} bytes; pass files by address")
    if row.payload is None:
        raise Rejected("missing_payload", "payload is empty; set what is to be sent")
    try:
        payload = orjson.loads(row.payload)
    except orjson.JSONDecodeError:
        raise Rejected("invalid_payload", "payload is nested too deeply, or has a number without bounds") from None
    if not isinstance(payload, dict):
        raise Rejected("invalid_payload", f"payload must be an object, it is {type(payload).__name__}")
    return payload


def _serving(channel: Channel) -> str:
    return ", ".join(name for name, facts in CATALOG.items() if channel in facts.channels) or "(none)"
