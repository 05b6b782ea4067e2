"""From the environment or a tenant's row to an account, and what a fingerprint tells."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.catalog import CATALOG
from providers.base import PROVIDER_WIDE, Account, Halted
from providers.credentials import fingerprint
from tests.vendors import PROVIDERS, settings_of

TENANT = UUID(int=7)
URL = "https://api.resend.com"

ENVIRONMENTS: Mapping[str, dict[str, str]] = {
    "resend": {"RESEND_API_KEY": "re_1", "RESEND_FROM_EMAIL": "hello@acme.io", "RESEND_FROM_NAME": "Acme"},
    "twilio": {
        "TWILIO_ACCOUNT_SID": "AC" + "a" * 32,
        "TWILIO_AUTH_TOKEN": "token-1",
        "TWILIO_PHONE_NUMBER": "+15005550006",
    },
    "vapi": {"VAPI_PRIVATE_KEY": "key-1", "VAPI_PHONE_NUMBER_ID": "number-1", "VAPI_ASSISTANT_ID": "assistant-1"},
}
ROWS: Mapping[str, dict[str, str]] = {
    "resend": {"api_key_encrypted": "re_1", "from_email": "hello@acme.io", "from_name": "Acme"},
    "twilio": {
        "twilio_account_sid": "AC" + "a" * 32,
        "twilio_auth_token": "token-1",
        "twilio_phone_number": "+15005550006",
    },
    "vapi": {
        "vapi_private_key": "key-1",
        "phone_number_id": "number-1",
        "default_vapi_assistant_id": "assistant-1",
    },
}
SECRETS = [
    ("resend", "RESEND_API_KEY", "api_key_encrypted"),
    ("twilio", "TWILIO_ACCOUNT_SID", "twilio_account_sid"),
    ("twilio", "TWILIO_AUTH_TOKEN", "twilio_auth_token"),
    ("vapi", "VAPI_PRIVATE_KEY", "vapi_private_key"),
]
REQUIRED = [
    *SECRETS,
    ("twilio", "TWILIO_PHONE_NUMBER", "twilio_phone_number"),
    ("vapi", "VAPI_PHONE_NUMBER_ID", "voice_phone_numbers"),
]
UNUSABLE = ["re_\x00", "re_1\r\nX-Admin: 1", "re_ü", "re_\u20281", "re_\ud800"]


def from_environment(name: str, **changed: str) -> Account:
    return PROVIDERS[name].account_from_environment(settings_of(name, {**ENVIRONMENTS[name], **changed}))


def from_row(name: str, **changed: str) -> Account:
    return PROVIDERS[name].account_of_tenant(TENANT, {**ROWS[name], **changed}, settings_of(name, {}))


def halted(make: Any, *arguments: Any, **changed: str) -> Halted:
    with pytest.raises(Halted) as why:
        make(*arguments, **changed)
    return why.value


@pytest.mark.parametrize("name", CATALOG)
def test_both_ways_lead_to_the_same_credentials_of_their_own_owner(name: str) -> None:
    shared, own = from_environment(name), from_row(name)
    assert (shared.tenant_id, own.tenant_id) == (PROVIDER_WIDE, TENANT)
    assert shared.credentials == own.credentials
    assert shared.fingerprint == own.fingerprint
    assert shared.base_url == own.base_url
    assert shared.base_url.startswith("https://")


@pytest.mark.parametrize(("name", "variable", "column"), REQUIRED)
def test_what_is_missing_halts_the_account_and_is_named(name: str, variable: str, column: str) -> None:
    for empty in ("", " \n"):
        assert variable in halted(from_environment, name, **{variable: empty}).reason
    assert column in halted(from_row, name, **{column: "", "phone_number_id": ""}).reason


@pytest.mark.parametrize(("name", "variable", "column"), SECRETS)
@pytest.mark.parametrize("secret", UNUSABLE, ids=ascii)
def test_what_no_header_can_carry_halts_the_account_and_is_not_shown(
    name: str, variable: str, column: str, secret: str
) -> None:
    for why in (halted(from_environment, name, **{variable: secret}), halted(from_row, name, **{column: secret})):
        assert why.code == "invalid_credentials"
        assert secret not in why.reason
        assert "re_" not in why.reason


@pytest.mark.parametrize(("name", "variable", "column"), SECRETS)
def test_a_blank_around_a_credential_is_not_part_of_it(name: str, variable: str, column: str) -> None:
    padded = {variable: f" {ENVIRONMENTS[name][variable]}\n"}
    assert from_environment(name, **padded) == from_environment(name)
    assert from_row(name, **{column: f"\t{ROWS[name][column]} "}) == from_row(name)


@pytest.mark.parametrize(("name", "variable", "column"), SECRETS)
def test_each_secret_changes_the_fingerprint(name: str, variable: str, column: str) -> None:
    known = from_environment(name).fingerprint
    assert known == from_environment(name).fingerprint
    assert from_environment(name, **{variable: "other"}).fingerprint != known
    assert from_row(name, **{column: "other"}).fingerprint == from_environment(name, **{variable: "other"}).fingerprint


@settings(deadline=None)
@given(st.text(min_size=4), st.text(min_size=4))
def test_a_fingerprint_tells_whether_and_nothing_more(one: str, other: str) -> None:
    print_ = fingerprint("resend", URL, one)
    assert len(print_) == 16
    assert set(print_) <= set("0123456789abcdef")
    assert (print_ == fingerprint("resend", URL, other)) == (one == other)
    assert print_ != fingerprint("vapi", URL, one)
    assert print_ != fingerprint("resend", URL, one, other)
    assert print_ != fingerprint("resend", "https://proxy.acme.io", one)


@pytest.mark.parametrize("name", CATALOG)
def test_another_address_changes_the_fingerprint(name: str) -> None:
    """Another server does not know our send keys, and has no record of what was accepted."""
    moved = from_environment(name, **{CATALOG[name].url_variable: "https://proxy.acme.io"})
    assert moved.credentials == from_environment(name).credentials
    assert moved.fingerprint != from_environment(name).fingerprint


@pytest.mark.parametrize("name", ["resend", "vapi"])
def test_the_secret_of_callbacks_changes_no_fingerprint_and_is_not_shown(name: str) -> None:
    variable = f"{name.upper()}_WEBHOOK_SECRET"
    one, other = f"whsec_{'b25l' * 8}", f"whsec_{'b3Ro' * 8}"
    for secret in (one, f"{one} {other}"):
        shared = from_environment(name, **{variable: secret})
        assert shared.credentials == from_row(name, webhook_secret=secret).credentials
        assert shared.credentials["webhook_secret"] == secret
        assert shared.fingerprint == from_environment(name).fingerprint
        assert "whsec_" not in repr(shared)
    for empty in ("", " \n"):
        assert "webhook_secret" not in from_environment(name, **{variable: empty}).credentials
        assert "webhook_secret" not in from_row(name, webhook_secret=empty).credentials


def test_a_fingerprint_outlives_the_process_that_made_it() -> None:
    assert fingerprint("resend", URL, "re_1") == "9443ed2085e966d2"


@pytest.mark.parametrize("name", CATALOG)
@pytest.mark.parametrize("host", ["127.0.0.1:4900", "localhost:4900", "[::1]:4900"])
def test_a_stand_in_on_this_machine_needs_no_credentials(name: str, host: str) -> None:
    variable = CATALOG[name].url_variable
    account = PROVIDERS[name].account_from_environment(settings_of(name, {variable: f"http://{host}/"}))
    assert account.base_url == f"http://{host}"
    assert all(account.credentials.values())


@pytest.mark.parametrize("name", CATALOG)
def test_another_address_still_needs_them(name: str) -> None:
    environ = {CATALOG[name].url_variable: "https://proxy.acme.io"}
    why = halted(PROVIDERS[name].account_from_environment, settings_of(name, environ))
    assert why.code == "not_configured"
    variables = {variable for provider, variable, _ in REQUIRED if provider == name}
    assert any(variable in why.reason for variable in variables)


@pytest.mark.parametrize("name", CATALOG)
def test_a_stand_in_still_gets_what_is_configured(name: str) -> None:
    variable = CATALOG[name].url_variable
    account = from_environment(name, **{variable: "http://127.0.0.1:4900"})
    assert account.credentials == from_environment(name).credentials


@pytest.mark.parametrize(("name", "secret"), [("resend", "re_1"), ("twilio", "token-1"), ("vapi", "key-1")])
def test_neither_an_account_nor_its_settings_show_a_secret(name: str, secret: str) -> None:
    assert secret in ENVIRONMENTS[name].values()
    assert secret not in repr(from_environment(name)) + str(from_row(name))
    assert secret not in repr(settings_of(name, ENVIRONMENTS[name])) + str(settings_of(name, ENVIRONMENTS[name]))
