"""Resend: email, one message or up to a hundred in a request, each request under an Idempotency-Key.

Facts: resend.com/docs/api-reference/emails/send-email, .../send-batch-emails and .../errors;
resend.com/docs/dashboard/emails/idempotency-keys (a key is kept 24 h); resend.com/changelog/batch-validation-modes.
"""

import re
from collections.abc import Mapping, Sequence
from email.utils import formataddr
from typing import Any
from uuid import UUID

import orjson
from pydantic import SecretStr
from pydantic_settings import SettingsConfigDict
from typing_extensions import override

from config.settings import VendorSettings, WebAddress
from providers.answers import ErrorTable, error_of, json_of
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
    Unknown,
)
from providers.credentials import fingerprint, required
from providers.payload import mapping, objects, one_line, optional_text
from providers.urls import is_loopback, public_https

TAGS_LIMIT = 73
"""75 a message (docs/dashboard/emails/tags), two of which are ours."""
ATTACHMENTS_LIMIT = 50
_TAG = re.compile(r"^[A-Za-z0-9_-]{1,256}$")
_HEADER_NAME = re.compile(r"^[A-Za-z0-9-]{1,100}$")

ERRORS: ErrorTable = {
    # (status, name) where the status decides, else the name; resend.com/docs/api-reference/errors
    "concurrent_idempotent_requests": (Unknown, "the same request is being processed"),
    "invalid_idempotent_request": (Unknown, "the key was used for another body: a mail has probably gone out"),
    "invalid_idempotency_key": (Rejected, "the key was refused"),
    "missing_required_field": (Rejected, "complete the payload"),
    "invalid_from_address": (Rejected, "correct payload.from or the sender in the settings"),
    "invalid_attachment": (Rejected, "correct payload.attachments"),
    "invalid_parameter": (Rejected, "correct the payload"),
    "invalid_access": (Rejected, "the request is not allowed"),
    "invalid_region": (Rejected, "the region is not allowed"),
    "not_found": (Rejected, "the address of the API is wrong"),
    "method_not_allowed": (Rejected, "the address of the API is wrong"),
    (400, "validation_error"): (Rejected, "correct the payload"),
    (422, "validation_error"): (Rejected, "correct the payload"),
    (403, "validation_error"): (Halted, "verify the sender's domain at Resend"),
    "missing_api_key": (Halted, "the API key is missing"),
    "restricted_api_key": (Halted, "the API key may not send"),
    "invalid_api_key": (Halted, "the API key is wrong or was revoked"),
    "security_error": (Halted, "Resend blocked the account; ask its support"),
    "rate_limit_exceeded": (Later, "too many requests a second for the account"),
    "daily_quota_exceeded": (Halted, "the day's quota is used up"),
    "monthly_quota_exceeded": (Halted, "the month's quota is used up; upgrade the plan"),
    "application_error": (Unknown, ""),
    "internal_server_error": (Unknown, ""),
}


class ResendSettings(VendorSettings):
    """RESEND_*: the account of tenants without settings of their own."""

    model_config = SettingsConfigDict(env_prefix="RESEND_")

    api_key: SecretStr | None = None
    from_email: str | None = None
    from_name: str | None = None
    webhook_secret: SecretStr | None = None
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
        return _account(PROVIDER_WIDE, settings.api_url, key, sender)

    @override
    def account_of_tenant(self, tenant_id: UUID, row: Mapping[str, str], settings: ResendSettings) -> Account:
        if not row["api_key_encrypted"]:
            raise Halted("not_configured", "the tenant's Resend settings have no API key")
        sender = _sender(row["from_email"], row["from_name"])
        return _account(tenant_id, settings.api_url, row["api_key_encrypted"], sender)

    @override
    def render(self, message: Message, account: Account) -> Part:
        payload = message.payload
        sender = optional_text(payload, "from", limit=320) or account.credentials["from"]
        if not sender:
            raise Halted("no_sender", "set RESEND_FROM_EMAIL, the tenant's from_email, or payload.from")
        mail = {
            "from": sender,
            "to": [message.address],
            "subject": one_line(payload, "subject", limit=998),
            **_bodies(payload),
            **_extras(payload),
            "tags": [*_tags(payload), _tag("message_id", message.id), _tag("send_key", message.send_key)],
        }
        return Part(message.id, orjson.dumps(mail), sender, batchable="attachments" not in mail)

    @override
    def join(self, parts: Sequence[Part]) -> bytes:
        if len(parts) == 1:
            return parts[0].body
        return b"[" + b",".join(part.body for part in parts) + b"]"

    @override
    def request(self, body: bytes, path: str, message_ids: Sequence[UUID], account: Account, send_key: UUID) -> Request:
        headers = {
            "Authorization": f"Bearer {account.credentials['key']}",
            "Content-Type": "application/json",
            "Idempotency-Key": str(send_key),
        }
        if len(message_ids) > 1:
            headers["x-batch-validation"] = "permissive"
        path = "/emails" if len(message_ids) == 1 else "/emails/batch"
        return Request(account.base_url + path, headers, body, tuple(message_ids))

    @override
    def outcomes(self, request: Request, response: Response) -> Sequence[Outcome]:
        answer = json_of(response)
        if 200 <= response.status < 300:
            return _accepted(request, response, answer)
        error = _error(response, answer if isinstance(answer, dict) else {})
        if isinstance(error, Rejected) and len(request.message_ids) > 1:
            # One of them spoils the request and the answer does not say which: each goes again by itself.
            error = Later("batch_refused", error.reason, http_status=response.status, after_seconds=0, counted=False)
        return [error] * len(request.message_ids)


def _account(tenant_id: UUID, base_url: str, key: str, sender: str) -> Account:
    return Account("resend", tenant_id, fingerprint("resend", key), base_url, {"key": key, "from": sender})


def _sender(address: str, name: str) -> str:
    return formataddr((name, address)) if address and name else address


def _bodies(payload: Mapping[str, Any]) -> dict[str, str]:
    bodies = {field: optional_text(payload, field) for field in ("html", "text")}
    present = {field: body for field, body in bodies.items() if body}
    if not present:
        raise Rejected("missing_body", "payload has neither html nor text; set one of them")
    return present


def _extras(payload: Mapping[str, Any]) -> dict[str, Any]:
    extras: dict[str, Any] = {}
    for field in ("cc", "bcc"):
        if payload.get(field):
            raise Rejected(
                f"unsupported_{field}", f"one message goes to one recipient; insert a row instead of {field}"
            )
    reply_to = payload.get("reply_to")
    if reply_to:
        extras["reply_to"] = reply_to if isinstance(reply_to, list) else one_line(payload, "reply_to")
    headers = mapping(payload, "headers")
    if headers:
        extras["headers"] = {_header_name(name): one_line(headers, name) for name in headers}
    attachments = objects(payload, "attachments", limit=ATTACHMENTS_LIMIT)
    if attachments:
        extras["attachments"] = [_attachment(attachment) for attachment in attachments]
    return extras


def _header_name(name: str) -> str:
    if not _HEADER_NAME.match(name):
        raise Rejected("invalid_headers", "a name in payload.headers is not one of a mail header")
    return name


def _attachment(attachment: Any) -> dict[str, str]:
    if not isinstance(attachment, dict):
        raise Rejected("invalid_attachments", "each of payload.attachments must be an object")
    kept = {field: optional_text(attachment, field) for field in ("filename", "content", "content_type", "content_id")}
    if attachment.get("path"):
        kept["path"] = public_https(attachment["path"], "attachments.path")
    if not kept.get("content") and not kept.get("path"):
        raise Rejected("invalid_attachments", "each of payload.attachments needs content (base64) or path (https)")
    return {field: value for field, value in kept.items() if value}


def _tags(payload: Mapping[str, Any]) -> list[dict[str, str]]:
    tags = objects(payload, "tags", limit=TAGS_LIMIT)
    for tag in tags:
        valid = isinstance(tag, dict) and set(tag) == {"name", "value"}
        if not valid or not all(isinstance(part, str) and _TAG.match(part) for part in tag.values()):
            raise Rejected("invalid_tags", "each of payload.tags is {name, value} of ASCII letters, digits, _ and -")
    return tags


def _tag(name: str, value: UUID) -> dict[str, str]:
    return {"name": name, "value": str(value)}


def _error(response: Response, answer: Mapping[str, Any]) -> Any:
    name = str(answer.get("name") or "")
    key = (response.status, name) if name == "validation_error" else name
    return error_of(response, name, str(answer.get("message") or ""), ERRORS, key=key)


def _accepted(request: Request, response: Response, answer: Any) -> Sequence[Outcome]:
    """Map a batch's answer back: `data` holds the accepted ones in order, `errors` the index of each refused one."""
    count = len(request.message_ids)
    try:
        data = [answer] if count == 1 and "data" not in answer else answer["data"]
        refused = {int(error["index"]): str(error["message"]) for error in answer.get("errors") or ()}
        accepted = [Accepted(str(entry["id"]), entry, response.status) for entry in data]
    except (TypeError, KeyError, ValueError, AttributeError):
        accepted, refused = [], {}
    if len(accepted) + len(refused) != count or not all(0 <= index < count for index in refused):
        return [
            Unknown("unreadable_answer", "Resend took the request, its answer does not tell which messages")
        ] * count
    in_order = iter(accepted)
    return [
        Rejected("validation_error", refused[index], http_status=response.status)
        if index in refused
        else next(in_order)
        for index in range(count)
    ]
