"""What Vapi asks of one call, and the refusal for each way to miss it.

Owns the checks, written from the vendor's OpenAPI file (schemas CreateCallDTO, CreateCustomerDTO, SchedulePlan).
Stricter than the vendor in one way: batch calls (`customers`) are refused, since the fleet sends one call a request.
Refuses to look into assistants and overrides beyond their own keys: the conformance tests hold them to the file.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from simulator.addresses import is_e164
from simulator.marks import REJECTED, mark_of
from simulator.vendor import Refusal, unknown_keys

MOST_CHARACTERS = 40
"""Of a call's name and of a customer's name, email, number and external id."""

_Types = type | tuple[type, ...]

_CALL: Mapping[str, _Types] = {
    **dict.fromkeys(("name", "assistantId", "squadId", "workflowId", "phoneNumberId", "customerId"), str),
    **dict.fromkeys(("assistant", "assistantOverrides", "squad", "squadOverrides", "workflow"), dict),
    **dict.fromkeys(("workflowOverrides", "phoneNumber", "customer", "schedulePlan", "transport"), dict),
    "assistantVersion": (str, type(None)),
}
_CUSTOMER: Mapping[str, _Types] = {
    **dict.fromkeys(("number", "extension", "sipUri", "name", "email", "externalId"), str),
    **dict.fromkeys(("assistantOverrides", "squadOverrides"), dict),
    "numberE164CheckEnabled": bool,
}
_SCHEDULE: Mapping[str, _Types] = {"earliestAt": str, "latestAt": str}
_SHORT = ("name", "email", "number", "externalId")
_WHO_SPEAKS = ("assistantId", "assistant", "squadId", "squad", "workflowId", "workflow")

# The first is the vendor's wording as far as it is known; the numbers themselves are a convention of the simulator.
_MAGIC_NUMBERS = {
    "+15005550001": Refusal(400, "bad_number", "customer.number cannot be called"),
    "+15005550002": Refusal(400, "over_concurrency_limit", "Over Concurrency Limit"),
    "+15005550003": Refusal(402, "payment_required", "The wallet of the organization is empty"),
}


def check_call(call: Any) -> None:
    """Check the body of `POST /call`. Raises Refusal with every mistake that the shape has, or with the number's."""
    if not isinstance(call, dict):
        raise Refusal(400, "validation", "The body must be a JSON object")
    problems = _shape_problems("", call, _CALL)
    customer = call.get("customer")
    if isinstance(customer, dict):
        problems += _shape_problems("customer.", customer, _CUSTOMER) or _customer_problems(customer)
    elif customer is None and "customerId" not in call:
        problems.append("customer or customerId is required")
    problems += [] if problems else _call_problems(call)
    if problems:
        raise Refusal(400, "validation", "\n".join(problems))
    _check_number(call.get("customer", {}).get("number", ""))


def _shape_problems(path: str, value: Mapping[str, Any], types: Mapping[str, _Types]) -> list[str]:
    strangers = [f"property {path}{key} should not exist" for key in unknown_keys(value, types)]
    wrong = [
        f"{path}{key} has the wrong type"
        for key, of in types.items()
        if key in value and not isinstance(value[key], of)
    ]
    return strangers + wrong


def _customer_problems(customer: Mapping[str, Any]) -> list[str]:
    problems = [
        f"customer.{key} must be at most {MOST_CHARACTERS} characters"
        for key in _SHORT
        if len(customer.get(key, "")) > MOST_CHARACTERS
    ]
    number = customer.get("number")
    if number is None and "sipUri" not in customer:
        problems.append("customer.number or customer.sipUri is required")
    if number is not None and customer.get("numberE164CheckEnabled", True) and not is_e164(number):
        problems.append("customer.number must be a valid phone number in the E.164 format")
    return problems


def _call_problems(call: Mapping[str, Any]) -> list[str]:
    problems = []
    if len(call.get("name", "")) > MOST_CHARACTERS:
        problems.append(f"name must be at most {MOST_CHARACTERS} characters")
    if not any(call.get(key) for key in _WHO_SPEAKS):
        problems.append("assistantId, assistant, squadId, squad, workflowId or workflow is required")
    if not (call.get("phoneNumberId") or call.get("phoneNumber")):
        problems.append("phoneNumberId or phoneNumber is required")
    return problems + _schedule_problems(call.get("schedulePlan"))


def _schedule_problems(plan: Mapping[str, Any] | None) -> list[str]:
    if plan is None:
        return []
    problems = _shape_problems("schedulePlan.", plan, _SCHEDULE)
    problems += [] if "earliestAt" in plan else ["schedulePlan.earliestAt is required"]
    return problems or [f"schedulePlan.{key} must be a date" for key in plan if not _is_date(plan[key])]


def _check_number(number: str) -> None:
    if number in _MAGIC_NUMBERS:
        known = _MAGIC_NUMBERS[number]
        raise Refusal(known.status, known.code, known.message)
    if mark_of(number) == REJECTED:
        raise Refusal(400, "bad_number", "customer.number is marked to be rejected")


def _is_date(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False
