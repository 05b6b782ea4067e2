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
from admission.unsubscribe import Links
from config import log
from config.catalog import BUNDLE_SIZE_LIMIT, CATALOG
from config.channels import CHANNELS, Channel
from outbox.addresses import Allowed, NotAnAddress, normalise
from outbox.starts import PAYLOAD_LIMIT_BYTES, Claimed
from outbox.unsubscribing import Recipient
from providers.base import PROVIDER_WIDE, Account, Halted, Message, Part, Provider, Rejected, SendError, attempt_id

REQUEST_LIMIT_BYTES = 4 * 1_048_576
"""A request takes no more members at this size: it must reach the vendor within its timeout (15 s) over a slow line,
and is compressed on the loop that sends (measured: some 50 ms)."""

_log = log.get(__name__)


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
    size_bytes: int = 0
    probe: bool = False
    """Does it find out whether its account's vendor works again?"""

    def add(self, prepared: Prepared) -> None:
        """Take a member."""
        self.members.append(prepared)
        self.size_bytes += len(prepared.part.body)


@dataclass(slots=True)
class Preparation:
    """What a bundle came to: groups to start, and the messages that cannot go, each with its decision."""

    groups: list[Group] = field(default_factory=list)
    rejected: list[tuple[Claimed, Rejected]] = field(default_factory=list)
    halted: list[tuple[Claimed, SendError]] = field(default_factory=list)

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
        *,
        allowed: Allowed,
        links: Links,
    ) -> None:
        facts = CATALOG[provider.name]
        self._limit = facts.request_size if facts.idempotent else BUNDLE_SIZE_LIMIT
        self._channel = channel
        self._provider = provider
        self._accounts = accounts
        self._result = result
        self._allowed = allowed
        self._links = links
        self._open: dict[tuple[UUID, str | None], Group] = {}
        """By the account's tenant and the payload's own sender: the group that still takes members."""

    def add(self, row: Claimed) -> None:
        """Render one row into the group it may travel with, or refuse it."""
        try:
            self._place(row)
        except SendError as error:
            self._result.refuse(row, error)
        except Exception as error:  # noqa: BLE001 - whatever one payload does to our code, its bundle goes on
            _log.error("render_crashed", message_id=str(row.id), error=type(error).__name__)
            reason = "the payload cannot be turned into a message; our own code failed on it"
            self._result.refuse(row, Rejected("unrenderable", reason))

    def _place(self, row: Claimed) -> None:
        account = self._accounts[row.tenant_id or PROVIDER_WIDE]
        if isinstance(account, Halted):
            raise account
        if row.travels_alone:
            alone = Group(account)
            self._join(alone, self._rendered(row, alone))
            return
        guess = self._shared(account, None)
        prepared = self._rendered(row, guess)
        group = self._group_for(prepared.part, guess)
        if group is not guess:
            prepared = self._rendered(row, group)  # under its own send key, which the rendered message carries
        self._join(group, prepared)

    def _group_for(self, part: Part, guess: Group) -> Group:
        """Return the group that a message may join once its content is known; a new one where none can take it."""
        if not part.batchable:
            return Group(guess.account)
        group = self._shared(guess.account, part.sender) if part.own_sender else guess
        if group.members and group.size_bytes + len(part.body) > REQUEST_LIMIT_BYTES:
            group = Group(group.account)
        self._open[guess.account.tenant_id, part.sender if part.own_sender else None] = group
        return group

    def _shared(self, account: Account, own_sender: str | None) -> Group:
        group = self._open.get((account.tenant_id, own_sender))
        return Group(account) if group is None or len(group.members) >= self._limit else group

    def _join(self, group: Group, prepared: Prepared) -> None:
        if not group.members:
            self._result.groups.append(group)
        group.add(prepared)

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
            unsubscribe_url=self._unsubscribe_url(row, address),
        )
        return Prepared(row, address, self._provider.render(message, group.account))

    def _unsubscribe_url(self, row: Claimed, address: str | None) -> str | None:
        """Return the link for a campaign's mail: what is sent because somebody asked for it needs none."""
        workspace = row.workspace_id or row.tenant_id
        if row.campaign_id is None or self._channel is not Channel.EMAIL or address is None or workspace is None:
            return None
        return self._links.url(Recipient(workspace, self._channel, address, row.id))


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
