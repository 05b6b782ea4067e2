"""Resend: email, one message or up to a hundred in a request, each request under an Idempotency-Key.

Facts: resend.com/docs/api-reference/emails/send-email and .../send-batch-emails;
resend.com/docs/dashboard/emails/idempotency-keys; resend.com/changelog/batch-validation-modes.
"""

import re
from collections.abc import Mapping, Sequence
from email.utils import quote
from operator import index
from typing import Annotated, Any
from uuid import UUID

from pydantic import SecretStr
from pydantic_settings import SettingsConfigDict
from typing_extensions import override

from config.settings import VendorSettings, WebAddress
from providers.answers import blamed, error_of, json_of
from providers.base import (
    PROVIDER_WIDE,
    Accepted,
    Account,
    Halted,
    Later,
    Message,
    Outcome,
    Part,
    Provider,
    Rejected,
    Request,
    Response,
    SendError,
    Unknown,
)
from providers.callbacks import Callback, Event
from providers.credentials import (
    checked_by,
    ear,
    ear_from_environment,
    fingerprint,
    of_tenant,
    required,
    webhook_secret,
)
from providers.lookup import Page, Question
from providers.payload import as_json, is_one_line, one_line
from providers.resend import callbacks, lookup
from providers.resend.errors import ERRORS, SENDER_ERRORS
from providers.resend.mail import mail
from providers.sentences import sentence
from providers.signatures import check_standard
from providers.urls import is_loopback

_SPECIAL = re.compile(r"[^\w !#$%&'*+/=?^`{|}~-]")
"""What a name in front of an address may not have outside quotes (RFC 5322)."""
SINGLE_SPACING_SECONDS = 0.2
"""Between the messages of a refused batch: a team has five requests a second (docs/api-reference/rate-limit)."""


class ResendSettings(VendorSettings):
    """RESEND_*: the account of tenants without settings of their own."""

    model_config = SettingsConfigDict(env_prefix="RESEND_")

    api_key: SecretStr | None = None
    from_email: str | None = None
    from_name: str | None = None
    webhook_secret: Annotated[SecretStr, checked_by(check_standard)] | None = None
    api_url: WebAddress = "https://api.resend.com"


class Resend(Provider):
    """The batch endpoint is used in permissive mode, so that one bad message does not refuse its neighbours."""

    name = "resend"
    environment = ResendSettings

    @override
    def account_from_environment(self, settings: ResendSettings) -> Account:
        key = required(settings.api_key, "RESEND_API_KEY", settings.api_url)
        stand_in = "delivery@fleet.invalid" if is_loopback(settings.api_url) else ""
        sender = _sender(settings.from_email or stand_in, settings.from_name or "")
        return _account(PROVIDER_WIDE, settings.api_url, key, sender, settings.webhook_secret)

    @override
    def account_of_tenant(self, tenant_id: UUID, row: Mapping[str, str], settings: ResendSettings) -> Account:
        key = of_tenant(row, "api_key_encrypted", "Resend")
        sender = _sender(row["from_email"], row["from_name"])
        return _account(tenant_id, settings.api_url, key, sender, row.get("webhook_secret"))

    @override
    def render(self, message: Message, account: Account) -> Part:
        written = message.payload.get("from")
        sender = one_line(message.payload, "from", limit=320) if written else account.credentials["from"]
        if not sender:
            raise Halted("no_sender", "set RESEND_FROM_EMAIL, the tenant's from_email, or payload.from")
        body = mail(message, sender)
        return Part(
            message.id,
            as_json(body),
            sender,
            batchable="attachments" not in body,
            own_sender=sender != account.credentials["from"],
        )

    @override
    def join(self, parts: Sequence[Part]) -> bytes:
        if len(parts) == 1:
            return parts[0].body
        return b"[" + b",".join(part.body for part in parts) + b"]"

    @override
    def request(self, body: bytes, path: str, message_ids: Sequence[UUID], account: Account, send_key: UUID) -> Request:
        headers = {
            **_authorization(account),
            "Content-Type": "application/json",
            "Idempotency-Key": str(send_key),
        }
        if len(message_ids) > 1:
            headers["x-batch-validation"] = "permissive"
        path = "/emails" if len(message_ids) == 1 else "/emails/batch"
        lone_sender = not _is_from(account.credentials["from"], body)
        return Request(account.base_url + path, headers, body, tuple(message_ids), lone_sender=lone_sender)

    @override
    def outcomes(self, request: Request, response: Response) -> Sequence[Outcome]:
        answer = json_of(response)
        if 200 <= response.status < 300:
            return _accepted(request, response, answer)
        error = blamed(_error(response, answer if isinstance(answer, dict) else {}), request, SENDER_ERRORS)
        if isinstance(error, Rejected) and len(request.message_ids) > 1:
            return _one_by_one(request, response)
        return [error] * len(request.message_ids)

    @override
    def lookup_request(self, question: Question, account: Account, page: str | None = None) -> Request:
        return Request(account.base_url + lookup.path(page), _authorization(account), b"", (), method="GET")

    @override
    def lookup_page(self, question: Question, response: Response) -> Page:
        answer = json_of(response)
        if not 200 <= response.status < 300:
            raise _error(response, answer if isinstance(answer, dict) else {})
        return lookup.page_of(question, answer)

    @override
    def digest(self, body: bytes, path: str = "") -> str | None:
        return lookup.digest(body)

    @override
    def ear_from_environment(self, settings: ResendSettings) -> Account:
        return ear_from_environment(self.name, settings.webhook_secret, "RESEND_WEBHOOK_SECRET")

    @override
    def ear_of_tenant(self, tenant_id: UUID, row: Mapping[str, str]) -> Account:
        return ear(self.name, tenant_id, webhook_secret(row["webhook_secret"]))

    @override
    def verify(self, callback: Callback, account: Account, *, now: float) -> None:
        callbacks.verify(callback, account, now=now)

    @override
    def parse(self, callback: Callback) -> Sequence[Event]:
        return callbacks.parse(callback)


def _authorization(account: Account) -> dict[str, str]:
    return {"Authorization": f"Bearer {account.credentials['key']}"}


def _account(tenant_id: UUID, base_url: str, key: str, sender: str, secret: SecretStr | str | None) -> Account:
    credentials = {"key": key, "from": sender, **webhook_secret(secret)}
    return Account("resend", tenant_id, fingerprint("resend", base_url, key), base_url, credentials)


def _is_from(sender: str, body: bytes) -> bool:
    """Tell whether a request goes out from this sender: `mail` writes it first, and a batch has one sender."""
    return body.removeprefix(b"[").startswith(as_json({"from": sender}).removesuffix(b"}"))


def _one_by_one(request: Request, response: Response) -> Sequence[Outcome]:
    """One of them spoils the batch and the answer does not say which: each goes again by itself, one after another.

    The vendor's sentence is about one of them, and the others may be of other tenants.
    """
    reason = "Resend refused the request that it shared with others; it goes again by itself"
    return [
        Later(
            "batch_refused",
            reason,
            http_status=response.status,
            after_seconds=place * SINGLE_SPACING_SECONDS,
            counted=False,
        )
        for place in range(len(request.message_ids))
    ]


def _sender(address: str, name: str) -> str:
    """Return `Name <address>`, the name in quotes where it has a comma or the like; the vendor takes any script."""
    if not is_one_line(address + name):
        raise Halted("invalid_sender", "the sender's name and address in the Resend settings must be one line each")
    if not address or not name:
        return address
    return f'"{quote(name)}" <{address}>' if _SPECIAL.search(name) else f"{name} <{address}>"


def _error(response: Response, answer: Mapping[str, Any]) -> SendError:
    name = str(answer.get("name") or "")
    key = (response.status, name) if name == "validation_error" else name
    return error_of(response, name, str(answer.get("message") or ""), ERRORS, key=key)


def _accepted(request: Request, response: Response, answer: Any) -> Sequence[Outcome]:
    """Map a batch's answer back: `data` holds the accepted ones in order, `errors` the index of each refused one."""
    count = len(request.message_ids)
    try:
        data = [answer] if count == 1 and "data" not in answer else answer["data"]
        refused = {index(error["index"]): _refusal(error, response) for error in answer.get("errors") or ()}
        accepted = [Accepted(_id(entry), entry, response.status) for entry in data]
    except (TypeError, KeyError, ValueError, AttributeError):
        accepted, refused = [], {}
    if len(accepted) + len(refused) != count or not all(0 <= place < count for place in refused):
        reason = "Resend took the request, its answer does not tell which messages"
        return [Unknown("unreadable_answer", reason)] * count
    in_order = iter(accepted)
    return [refused[place] if place in refused else next(in_order) for place in range(count)]


def _id(entry: Mapping[str, Any]) -> str:
    if not isinstance(entry["id"], str) or not entry["id"]:
        raise ValueError("an accepted mail without an id")
    return entry["id"]


def _refusal(error: Mapping[str, Any], response: Response) -> Rejected:
    reason = sentence(str(error.get("message") or "Resend refused this one of the batch"))
    return Rejected("validation_error", reason, http_status=response.status)
