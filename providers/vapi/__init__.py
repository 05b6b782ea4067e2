"""Vapi: calls held by an assistant, one request each. It has no idempotency key: an unknown outcome is looked up.

Facts: docs.vapi.ai/api-reference/calls/create. We call it ourselves: the vendor's own client posts again by itself
after an error, which is a second call to the same person.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any
from urllib.parse import quote
from uuid import UUID

from pydantic import SecretStr
from pydantic_settings import SettingsConfigDict
from typing_extensions import override

from config.channels import Channel
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
from providers.payload import as_json, mapping, optional_text
from providers.signatures import check_tokens
from providers.urls import is_loopback
from providers.vapi import callbacks, lookup

FIRST_MESSAGE_LIMIT = 4000
_STAND_IN = "00000000-0000-4000-8000-000000000000"

ERRORS: ErrorTable = {
    # Vapi has no codes. A text decides of one 400 (docs.vapi.ai/calls/call-concurrency) and of the 404 of a path that
    # does not exist (NestJS, by the operation names in Vapi's OpenAPI file), the status of all others.
    "over_concurrency": (Later, "all of the account's concurrent calls are in use"),
    "no_such_path": (Halted, "the address of the API is wrong"),
    "http_401": (Halted, "the private key is wrong or was revoked"),
    "http_402": (Halted, "the account has no credit"),
    "http_403": (Halted, "the key may not start calls"),
}


class VapiSettings(VendorSettings):
    """VAPI_*: the account of tenants without settings of their own."""

    model_config = SettingsConfigDict(env_prefix="VAPI_")

    private_key: SecretStr | None = None
    assistant_id: str | None = None
    phone_number_id: str | None = None
    webhook_secret: Annotated[SecretStr, checked_by(check_tokens)] | None = None
    api_url: WebAddress = "https://api.vapi.ai"


class Vapi(Provider):
    """Each call carries its attempt's id as its name, by which it can be found again."""

    name = "vapi"
    environment = VapiSettings

    @override
    def account_from_environment(self, settings: VapiSettings) -> Account:
        url = settings.api_url
        key = required(settings.private_key, "VAPI_PRIVATE_KEY", url)
        number = required(settings.phone_number_id, "VAPI_PHONE_NUMBER_ID", url, _STAND_IN)
        assistant = settings.assistant_id or (_STAND_IN if is_loopback(url) else "")
        credentials = {"key": key, "number": number, "assistant": assistant}
        return _account(PROVIDER_WIDE, url, credentials | webhook_secret(settings.webhook_secret))

    @override
    def account_of_tenant(self, tenant_id: UUID, row: Mapping[str, str], settings: VapiSettings) -> Account:
        key = of_tenant(row, "vapi_private_key", "Vapi")
        if not row["phone_number_id"]:
            raise Halted("no_sender", "the tenant has no active Vapi number in voice_phone_numbers")
        credentials = {"key": key, "number": row["phone_number_id"], "assistant": row["default_vapi_assistant_id"]}
        return _account(tenant_id, settings.api_url, credentials | webhook_secret(row.get("webhook_secret")))

    @override
    def render(self, message: Message, account: Account) -> Part:
        payload = message.payload
        assistant = optional_text(payload, "assistant_id", limit=100) or account.credentials["assistant"]
        if not assistant:
            raise Rejected("missing_assistant_id", "payload.assistant_id is empty and the account has no default")
        call = {
            "name": str(message.attempt_id),
            "assistantId": assistant,
            "phoneNumberId": account.credentials["number"],
            "customer": {"number": message.address, "externalId": str(message.id)},
            "assistantOverrides": {**_overrides(payload, message.id), **callbacks.overrides(message, account)},
        }
        return Part(message.id, as_json(call), account.credentials["number"])

    @override
    def request(self, body: bytes, path: str, message_ids: Sequence[UUID], account: Account, send_key: UUID) -> Request:
        headers = {**_authorization(account), "Content-Type": "application/json"}
        return Request(f"{account.base_url}/call", headers, body, tuple(message_ids))

    @override
    def outcomes(self, request: Request, response: Response) -> Sequence[Outcome]:
        answer = json_of(response)
        if not 200 <= response.status < 300:
            return [_error(response, answer)]
        call_id = answer.get("id") if isinstance(answer, dict) else None
        if not isinstance(call_id, str) or not call_id:
            return [Unknown("unreadable_answer", "Vapi took the request, its answer has no id")]
        return [Accepted(call_id, answer, response.status)]

    @override
    def lookup_request(self, question: Question, account: Account, page: str | None = None) -> Request:
        url = f"{account.base_url}{lookup.path(question, page)}"
        return Request(url, _authorization(account), b"", (), method="GET")

    @override
    def lookup_page(self, question: Question, response: Response) -> Page:
        answer = json_of(response)
        if not 200 <= response.status < 300:
            raise _error(response, answer)
        return lookup.page_of(question, answer)

    @override
    def ear_from_environment(self, settings: VapiSettings) -> Account:
        return ear_from_environment(self.name, settings.webhook_secret, "VAPI_WEBHOOK_SECRET")

    @override
    def ear_of_tenant(self, tenant_id: UUID, row: Mapping[str, str]) -> Account:
        return ear(self.name, tenant_id, webhook_secret(row["webhook_secret"]))

    @override
    def verify(self, callback: Callback, account: Account, *, now: float) -> None:
        callbacks.verify(callback, account, now=now)

    @override
    def parse(self, callback: Callback) -> Sequence[Event]:
        return callbacks.parse(callback)

    @override
    def status_request(self, provider_message_id: str, channel: Channel, account: Account) -> Request:
        url = f"{account.base_url}/call/{quote(provider_message_id, safe='')}"
        return Request(url, _authorization(account), b"", (), method="GET")

    @override
    def status_events(self, channel: Channel, response: Response) -> Sequence[Event]:
        call = json_of(response)
        if not 200 <= response.status < 300:
            raise _error(response, call)
        if not isinstance(call, dict) or not isinstance(call.get("id"), str) or not isinstance(call.get("status"), str):
            raise Unknown("unreadable_answer", "Vapi's answer shows no call")
        return [callbacks.ended(call, call, callbacks.REPORT)] if call["status"] == callbacks.ENDED else []


def _authorization(account: Account) -> dict[str, str]:
    return {"Authorization": f"Bearer {account.credentials['key']}"}


def _account(tenant_id: UUID, base_url: str, credentials: Mapping[str, str]) -> Account:
    print_ = fingerprint("vapi", base_url, credentials["key"])
    return Account("vapi", tenant_id, print_, base_url, credentials)


def _overrides(payload: Mapping[str, Any], message_id: UUID) -> dict[str, Any]:
    overrides: dict[str, Any] = {"metadata": {"message_id": str(message_id)}}
    first = optional_text(payload, "first_message", limit=FIRST_MESSAGE_LIMIT)
    if first:
        overrides["firstMessage"] = first
    variables = mapping(payload, "variables")
    if variables:
        overrides["variableValues"] = dict(variables)
    return overrides


def _error(response: Response, answer: Any) -> SendError:
    message = answer.get("message") if isinstance(answer, dict) else None
    said = "; ".join(map(str, message)) if isinstance(message, list) else str(message or "")
    code = None
    if response.status == 400 and "over concurrency limit" in said.lower():
        code = "over_concurrency"
    elif response.status == 404 and said.startswith("Cannot POST "):
        code = "no_such_path"
    return error_of(response, code, said, ERRORS, key=code or f"http_{response.status}")
