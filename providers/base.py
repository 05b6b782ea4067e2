"""What a provider is, and the five decisions that a vendor's answer can mean.

Owns the seam between the ledger and the vendors. Refuses the ledger itself: a provider sees one message's content
and one account's credentials, never a row, a status or a lease.

    SendError
    ├── Rejected   this message will never be accepted; nothing else is wrong
    │   └── Stopped   nor will any other to this recipient, who told the vendor so
    ├── Later      certainly not processed; may be sent again as if nothing had happened
    ├── Unknown    may have been processed; must not be sent again under a new key
    └── Halted     the account cannot send; every other message of it would fail alike
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar
from uuid import UUID

from config.channels import Channel
from config.settings import VendorSettings
from providers.callbacks import Callback, Event, Malformed
from providers.lookup import Page, Question

PROVIDER_WIDE = UUID(int=0)
"""Stands for the environment's account wherever a tenant id is expected."""


class SendError(Exception):
    """A message was not accepted: `code` for programs (the vendor's where it has one), `reason` for people."""

    def __init__(self, code: str, reason: str, *, http_status: int | None = None) -> None:
        self.code = code
        self.reason = reason
        self.http_status = http_status
        super().__init__(f"{code}: {reason}")


class Rejected(SendError):
    """Never to be accepted, this message alone; `reason` tells support what to mend."""


class Stopped(Rejected):
    """The recipient told the vendor to be left alone: what it refuses for this message it refuses for all of them."""


class Later(SendError):
    """Certainly not processed.

    `after_seconds` is the wait that the vendor asked for; `counted` is False where only its capacity was wanting, so
    that no attempt of the message's budget is spent.
    """

    def __init__(
        self,
        code: str,
        reason: str,
        *,
        http_status: int | None = None,
        after_seconds: float | None = None,
        counted: bool = True,
    ) -> None:
        super().__init__(code, reason, http_status=http_status)
        self.after_seconds = after_seconds
        self.counted = counted


class Unknown(SendError):
    """The vendor may have taken the message: a timeout, a broken connection, a 5xx, an answer without an id."""


class Halted(SendError):
    """The account cannot send: a bad key, a spent quota, an unverified sender.

    `advice` is what the fleet itself says of it, without the vendor's words.
    """

    def __init__(self, code: str, reason: str, *, http_status: int | None = None, advice: str = "") -> None:
        super().__init__(code, reason, http_status=http_status)
        self.advice = advice or "the vendor refused the account"

    def reason_under(self, account: "Account") -> str:
        """Return what may stand in every message of the account; a vendor's words can name one of its tenants."""
        return self.advice if account.tenant_id == PROVIDER_WIDE else self.reason


@dataclass(frozen=True, slots=True)
class Accepted:
    """The vendor took the message. `answer` is what it said of it, JSON-like."""

    provider_message_id: str
    answer: Any = None
    http_status: int = 200


Outcome = Accepted | SendError


@dataclass(frozen=True, slots=True)
class Account:
    """One set of credentials at one vendor. A tenant without its own uses the environment's."""

    provider: str
    tenant_id: UUID
    """Whose it is; `PROVIDER_WIDE` for the environment's."""
    fingerprint: str
    """Changes with the credentials and reveals nothing of them; a replay goes out under the same one or not at all."""
    base_url: str
    credentials: Mapping[str, str] = field(repr=False)
    """The vendor's own words for them, as in its `accounts` function; secret."""
    webhook_url: str = ""
    """Where the vendor is to send this account's callbacks; empty where the fleet cannot be reached from outside."""


@dataclass(frozen=True, slots=True)
class Message:
    """What a vendor may know of a message."""

    id: UUID
    channel: Channel
    address: str | None
    """The recipient, normalised: E.164, or an email address with a lower-case host."""
    payload: Mapping[str, Any]
    attempt_id: UUID
    """Identifies this try in the vendor's callbacks."""
    send_key: UUID
    unsubscribe_url: str | None = None
    """Where one POST unsubscribes the recipient (RFC 8058); campaign mail only, None for everything else."""


@dataclass(frozen=True, slots=True)
class Part:
    """One message in the vendor's format, ready to travel alone or with others of its account."""

    message_id: UUID
    body: bytes = field(repr=False)
    sender: str | None
    """The number or address that it goes out from."""
    path: str = ""
    """Where it goes at the vendor, where that depends on the message."""
    batchable: bool = True
    """False where the vendor's batch endpoint cannot carry it (an attachment)."""
    own_sender: bool = False
    """The payload names the sender: it travels with others of that sender only."""


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request to a vendor; the same value always makes the same bytes on the wire."""

    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    message_ids: tuple[UUID, ...]
    """The messages it carries, in the order in which the vendor answers; none in a look-up."""
    method: str = "POST"
    lone_sender: bool = False
    """Where the vendor refuses the sender, the account is not at fault: the payload named it, or it reaches few."""


@dataclass(frozen=True, slots=True)
class Response:
    """What came back: status, header names in lower case, and the body as the vendor sent it."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


class Provider(ABC):
    """One vendor. Stateless: everything is in the arguments, so one instance serves all accounts.

    A provider does no input or output. It turns messages into requests and answers into outcomes; the worker sends,
    because only the worker knows whether its lease still allows a request to begin.
    """

    name: ClassVar[str]
    """As in `config.catalog`."""
    environment: ClassVar[type[VendorSettings]]
    """The vendor's variables in the environment."""

    @abstractmethod
    def account_from_environment(self, settings: Any) -> Account:
        """Return the environment's account. Raises Halted where it is not configured, naming the variable."""

    @abstractmethod
    def account_of_tenant(self, tenant_id: UUID, row: Mapping[str, str], settings: Any) -> Account:
        """Return the account in a tenant's `ai_settings_*` row, its secrets already opened. Raises Halted."""

    @abstractmethod
    def render(self, message: Message, account: Account) -> Part:
        """Turn a message into the vendor's format; pure and deterministic.

        Raises Rejected with what to mend, or Halted where the account lacks what every message needs.
        """

    @abstractmethod
    def request(self, body: bytes, path: str, message_ids: Sequence[UUID], account: Account, send_key: UUID) -> Request:
        """Address a body to the vendor. A replay passes the bytes of the first time and gets the same request."""

    @abstractmethod
    def outcomes(self, request: Request, response: Response) -> Sequence[Outcome]:
        """Say what became of each message of a request, in the order of `request.message_ids`. Never raises."""

    def join(self, parts: Sequence[Part]) -> bytes:
        """Join the parts that travel in one request; a vendor without a batch endpoint gets one at a time."""
        (part,) = parts
        return part.body

    def lookup_request(self, question: Question, account: Account, page: str | None = None) -> Request:
        """Ask the vendor what it accepted; `page` is the last page's `next_page`. For vendors that can be asked."""
        raise NotImplementedError(f"{self.name} cannot be asked")

    def lookup_page(self, question: Question, response: Response) -> Page:
        """Read one page of the vendor's answer; what it shows beyond the question is left out. Raises SendError."""
        raise NotImplementedError(f"{self.name} cannot be asked")

    def digest(self, body: bytes, path: str = "") -> str | None:
        """Digest the content of a rendered message as `Record.digest` does; None where a record never shows it."""
        return None

    def ear_from_environment(self, settings: Any) -> Account:
        """Return what hears the environment's callbacks: an account with their proof alone, and nothing to send by.

        Raises Halted where nothing could prove one, whatever else is configured.
        """
        raise Halted("no_callbacks", f"{self.name} sends no callbacks")

    def ear_of_tenant(self, tenant_id: UUID, row: Mapping[str, str]) -> Account:
        """Return what hears the callbacks of a tenant with a settings row, however little of the row can be used.

        Its secrets are opened as far as they open; the others are empty. Without a proof it believes nothing.
        """
        raise Halted("no_callbacks", f"{self.name} sends no callbacks")

    def verify(self, callback: Callback, account: Account, *, now: float) -> None:
        """Check a callback's signature against the secret of an ear. Raises BadSignature and Malformed.

        `now` is the time in seconds since the epoch. Constant time in the secret.
        """
        raise Malformed(f"{self.name} sends no callbacks")

    def parse(self, callback: Callback) -> Sequence[Event]:
        """Say what a verified callback tells. Raises Malformed."""
        raise Malformed(f"{self.name} sends no callbacks")

    def status_request(self, provider_message_id: str, channel: Channel, account: Account) -> Request:
        """Ask what became of one message that the vendor took. For vendors that do not promise callbacks."""
        raise NotImplementedError(f"{self.name} calls back")

    def status_events(self, channel: Channel, response: Response) -> Sequence[Event]:
        """Say what the vendor's answer tells, in the events (and their ids) that its callbacks would have been.

        None where it has no end yet. Raises SendError where the answer tells nothing.
        """
        raise NotImplementedError(f"{self.name} calls back")


def attempt_id(send_key: UUID, message_id: UUID) -> UUID:
    """Return the id of one message's try under one send key, as `fleet.attempt_id` in the database does."""
    return UUID(bytes=hashlib.sha256(send_key.bytes + message_id.bytes).digest()[:16])
