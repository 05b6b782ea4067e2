"""Twilio: text messages and calls, one request each. It has no idempotency key: an unknown outcome is looked up.

Facts: twilio.com/docs/messaging/api/message-resource, twilio.com/docs/voice/api/call-resource,
twilio.com/docs/api/errors.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote
from uuid import UUID

from aiohttp import encode_basic_auth
from pydantic import SecretStr
from pydantic_settings import SettingsConfigDict
from typing_extensions import override

from config.channels import Channel
from config.settings import VendorSettings, WebAddress
from providers.answers import blamed, error_of, json_of
from providers.base import (
    PROVIDER_WIDE,
    Accepted,
    Account,
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
from providers.credentials import ear, fingerprint, of_tenant, required
from providers.lookup import Page, Question
from providers.twilio import callbacks, calls, lookup, messages, signature, standing
from providers.twilio.errors import COUNTRY_ERRORS, ERRORS, NOT_FOUND

# Stand-in credentials have the vendor's form, so that what checks the form is satisfied by them as well.
_STAND_IN_SID = "AC" + "0" * 32
_STAND_IN_NUMBER = "+15005550006"


class TwilioSettings(VendorSettings):
    """TWILIO_*: the account of tenants without settings of their own."""

    model_config = SettingsConfigDict(env_prefix="TWILIO_")

    account_sid: str | None = None
    auth_token: SecretStr | None = None
    phone_number: str | None = None
    api_url: WebAddress = "https://api.twilio.com"


class Twilio(Provider):
    """The sender is a number, or a messaging service where the settings name one (MG...)."""

    name = "twilio"
    environment = TwilioSettings

    @override
    def account_from_environment(self, settings: TwilioSettings) -> Account:
        url = settings.api_url
        return _account(
            PROVIDER_WIDE,
            url,
            required(settings.account_sid, "TWILIO_ACCOUNT_SID", url, _STAND_IN_SID),
            required(settings.auth_token, "TWILIO_AUTH_TOKEN", url),
            required(settings.phone_number, "TWILIO_PHONE_NUMBER", url, _STAND_IN_NUMBER),
        )

    @override
    def account_of_tenant(self, tenant_id: UUID, row: Mapping[str, str], settings: TwilioSettings) -> Account:
        columns = ("twilio_account_sid", "twilio_auth_token", "twilio_phone_number")
        return _account(tenant_id, settings.api_url, *(of_tenant(row, column, "Twilio") for column in columns))

    @override
    def render(self, message: Message, account: Account) -> Part:
        sender = account.credentials["number"]
        kind = messages if message.channel is Channel.SMS else calls
        body = kind.body(message, sender, callbacks.fields(message, account))
        return Part(message.id, body, sender, path=kind.PATH)

    @override
    def request(self, body: bytes, path: str, message_ids: Sequence[UUID], account: Account, send_key: UUID) -> Request:
        headers = {**_headers(account), "Content-Type": "application/x-www-form-urlencoded"}
        reaches_all = account.credentials["number"].startswith(("+", "MG"))
        return Request(_url(account, path), headers, body, tuple(message_ids), lone_sender=not reaches_all)

    @override
    def outcomes(self, request: Request, response: Response) -> Sequence[Outcome]:
        answer = json_of(response)
        if not 200 <= response.status < 300:
            error = _error(response, answer if isinstance(answer, dict) else {})
            return [blamed(error, request, COUNTRY_ERRORS)]
        sid = answer.get("sid") if isinstance(answer, dict) else None
        if not isinstance(sid, str) or not sid:
            return [Unknown("unreadable_answer", "Twilio took the request, its answer has no sid")]
        return [Accepted(sid, answer, response.status)]

    @override
    def lookup_request(self, question: Question, account: Account, page: str | None = None) -> Request:
        return Request(_url(account, lookup.path(question, page)), _headers(account), b"", (), method="GET")

    @override
    def lookup_page(self, question: Question, response: Response) -> Page:
        answer = json_of(response)
        if not 200 <= response.status < 300:
            raise _error(response, answer if isinstance(answer, dict) else {})
        return lookup.page_of(question, answer)

    @override
    def digest(self, body: bytes, path: str = "") -> str | None:
        return lookup.digest(body, path)

    @override
    def ear_from_environment(self, settings: TwilioSettings) -> Account:
        token = required(settings.auth_token, "TWILIO_AUTH_TOKEN", settings.api_url)
        return ear(self.name, PROVIDER_WIDE, {"auth_token": token})

    @override
    def ear_of_tenant(self, tenant_id: UUID, row: Mapping[str, str]) -> Account:
        return ear(self.name, tenant_id, {"auth_token": row["twilio_auth_token"].strip()})

    @override
    def verify(self, callback: Callback, account: Account, *, now: float) -> None:
        signature.verify(callback, account.credentials["auth_token"])

    @override
    def parse(self, callback: Callback) -> Sequence[Event]:
        return callbacks.parse(callback)

    @override
    def status_request(self, provider_message_id: str, channel: Channel, account: Account) -> Request:
        url = _url(account, standing.path(provider_message_id, channel))
        return Request(url, _headers(account), b"", (), method="GET")

    @override
    def status_events(self, channel: Channel, response: Response) -> Sequence[Event]:
        answer = json_of(response)
        if response.status == 404 and isinstance(answer, dict) and answer.get("code") == NOT_FOUND:
            raise Rejected(str(NOT_FOUND), "Twilio has no record of it any more", http_status=404)
        if not 200 <= response.status < 300:
            raise _error(response, answer if isinstance(answer, dict) else {})
        return standing.events(channel, answer)


def _headers(account: Account) -> dict[str, str]:
    return {"Authorization": account.credentials["authorization"], "Accept": "application/json"}


def _url(account: Account, path: str) -> str:
    return f"{account.base_url}/2010-04-01/Accounts/{account.credentials['sid']}/{path}"


def _account(tenant_id: UUID, base_url: str, sid: str, auth_token: str, number: str) -> Account:
    sid = quote(sid, safe="")  # it stands in the path of every request
    credentials = {
        "sid": sid,
        "number": number,
        "auth_token": auth_token,
        "authorization": encode_basic_auth(sid, auth_token),
    }
    return Account("twilio", tenant_id, fingerprint("twilio", base_url, sid, auth_token), base_url, credentials)


def _error(response: Response, answer: Mapping[str, Any]) -> SendError:
    code = answer.get("code")
    return error_of(response, code if isinstance(code, int) else None, str(answer.get("message") or ""), ERRORS)
