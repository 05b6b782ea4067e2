"""Vapi: what a call carries, what a payload changes of its assistant, and its limits."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from providers.base import Rejected
from providers.vapi import FIRST_MESSAGE_LIMIT
from tests.vendors import PROVIDERS, account_of, message_of

VAPI = PROVIDERS["vapi"]
ACCOUNT = account_of("vapi", assistant="default", number="number-1")
NAME_LIMIT = 40
"""Characters of a call's name and of a customer's external id (Vapi's OpenAPI file)."""

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def call(**payload: Any) -> dict[str, Any]:
    """The call that a payload makes."""
    made: dict[str, Any] = json.loads(VAPI.render(message_of("voice", payload), ACCOUNT).body)
    return made


def refused(**payload: Any) -> str:
    """The code with which a payload is refused."""
    with pytest.raises(Rejected) as error:
        call(**payload)
    return error.value.code


def test_a_call_without_wishes_is_the_accounts_assistant_and_can_be_found_again() -> None:
    message = message_of("voice", {})
    assert call() == {
        "name": str(message.attempt_id),
        "assistantId": "default",
        "phoneNumberId": "number-1",
        "customer": {"number": "+14155550100", "externalId": str(message.id)},
        "assistantOverrides": {"metadata": {"message_id": str(message.id)}},
    }


def test_what_finds_a_call_again_is_short_enough_for_vapi() -> None:
    assert len(call()["name"]) <= NAME_LIMIT
    assert len(call()["customer"]["externalId"]) <= NAME_LIMIT


def test_a_payload_changes_the_assistant_and_nothing_else() -> None:
    changed = call(assistant_id="sales", first_message="Hello Ada", variables={"name": "Ada"}, phoneNumberId="eve")
    assert changed["assistantId"] == "sales"
    assert changed["phoneNumberId"] == "number-1"
    assert changed["assistantOverrides"]["firstMessage"] == "Hello Ada"
    assert changed["assistantOverrides"]["variableValues"] == {"name": "Ada"}


@settings(deadline=None)
@given(st.dictionaries(st.text(max_size=10), values, max_size=4))
def test_variables_arrive_as_they_were_given(variables: dict[str, Any]) -> None:
    assert call(variables=variables)["assistantOverrides"].get("variableValues", {}) == variables


def test_variables_cannot_take_the_place_of_what_is_ours() -> None:
    overrides = call(variables={"metadata": {"message_id": "eve"}})["assistantOverrides"]
    assert overrides["metadata"] == {"message_id": str(message_of("voice", {}).id)}


def test_limits() -> None:
    longest = "x" * FIRST_MESSAGE_LIMIT
    assert call(first_message=longest)["assistantOverrides"]["firstMessage"] == longest
    assert refused(first_message=longest + "x") == "first_message_too_long"
    assert call(assistant_id="a" * 100)["assistantId"] == "a" * 100
    assert refused(assistant_id="a" * 101) == "assistant_id_too_long"


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        ({"assistant_id": 7}, "invalid_assistant_id"),
        ({"first_message": ["Hello"]}, "invalid_first_message"),
        ({"variables": "name=Ada"}, "invalid_variables"),
        ({"variables": {"visits": 2**64}}, "invalid_payload"),
    ],
)
def test_what_vapi_could_not_read_is_refused(payload: dict[str, Any], code: str) -> None:
    assert refused(**payload) == code


@pytest.mark.parametrize("assistant_id", ["", None])
def test_nobody_to_speak_is_refused(assistant_id: str | None) -> None:
    with pytest.raises(Rejected, match=r"payload\.assistant_id is empty"):
        VAPI.render(message_of("voice", {"assistant_id": assistant_id}), account_of("vapi", assistant=""))
