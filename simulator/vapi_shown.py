"""How Vapi shows a call: waiting, under way, ended; to whoever asks and to whoever is called back.

Follows the vendor's OpenAPI file (schemas Call, Analysis, Artifact). Refuses to know who asks.
"""

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from simulator.ends import End
from simulator.ledger import Accepted
from simulator.simulation import Simulation

CALL_MILLISECONDS = 7_000

ENDED_REASONS: Mapping[str, str] = {
    End.DELIVERED: "customer-ended-call",
    End.NO_ANSWER: "customer-did-not-answer",
    End.UNDELIVERED: "twilio-failed-to-connect-call",
}


def moments(simulation: Simulation, accepted: Accepted) -> dict[str, int]:
    """Return when a call was created and last changed, in whole Unix milliseconds, as it is shown."""
    created = int(simulation.wall_seconds(accepted.at_seconds) * 1000)
    ended = simulation.settled(accepted.at_seconds) and accepted.end != End.SCHEDULED
    return {"createdAt": created, "updatedAt": created + CALL_MILLISECONDS * ended}


def as_it_stands(simulation: Simulation, accepted: Accepted) -> dict[str, Any]:
    """Return a call as it stands now: scheduled or queued at first, ended once it is settled."""
    when = moments(simulation, accepted)
    if when["updatedAt"] > when["createdAt"]:
        return at_its_end(accepted, when["createdAt"])
    return with_status(accepted, when["createdAt"], "scheduled" if accepted.end == End.SCHEDULED else "queued")


def with_status(accepted: Accepted, created_milliseconds: int, status: str) -> dict[str, Any]:
    """Return a call that is not over yet."""
    return {
        **accepted.resource,
        "id": accepted.id,
        "orgId": organization(accepted.account),
        "type": "outboundPhoneCall",
        "phoneCallTransport": "pstn",
        "status": status,
        "createdAt": iso(created_milliseconds),
        "updatedAt": iso(created_milliseconds),
    }


def at_its_end(accepted: Accepted, created_milliseconds: int) -> dict[str, Any]:
    """Return a call that is over; nobody spoke in one that was not answered."""
    call = with_status(accepted, created_milliseconds, "ended")
    ended = iso(created_milliseconds + CALL_MILLISECONDS)
    call |= {"endedReason": ENDED_REASONS[accepted.end], "endedAt": ended, "updatedAt": ended}
    if accepted.end != End.DELIVERED:
        return {**call, "cost": 0, "analysis": {}, "artifact": {"transcript": ""}}
    overrides, assistant = call.get("assistantOverrides", {}), call.get("assistant", {})
    opening = overrides.get("firstMessage") or assistant.get("firstMessage") or "Hello."
    return {**call, "startedAt": iso(created_milliseconds), **conversation(opening, "Thank you.")}


def conversation(opening: str, answer: str) -> dict[str, Any]:
    """Return what is kept of a conversation of two sentences."""
    return {
        "cost": 0.05,
        "analysis": {"summary": "The customer listened and hung up.", "successEvaluation": "true"},
        "artifact": {"transcript": f"AI: {opening}\nUser: {answer}\n"},
    }


def iso(milliseconds: int) -> str:
    """Return a moment as Vapi writes it."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@lru_cache(maxsize=10_000)
def organization(account: str) -> str:
    """Return the id of an account's organization."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, account))
