"""From a vendor's outcome to a status."""

from dataclasses import replace
from uuid import UUID, uuid4

import pytest

from config.channels import Channel
from outbox.retry import Policy
from outbox.states import Status
from providers.base import Accepted, Account, Halted, Later, Outcome, Rejected, Stopped, Unknown
from workers.flight import REPLAY_CAP_SECONDS, replay_delay_seconds
from workers.lease import Lease
from workers.outcomes import Flight, Sending, fold, settlement

ACCOUNT = Account("resend", UUID(int=0), "fingerprint", "http://127.0.0.1", {})
POLICY = Policy(base_seconds=10, cap_seconds=100, max_attempts=3)


def settle(outcome: Outcome, counted: int = 0) -> tuple[Status, str, bool, str | None]:
    flight = Flight(uuid4(), Channel.EMAIL, Lease(60, 2), ACCOUNT, POLICY)
    one = settlement(flight, Sending(uuid4(), None, "sender", counted, tried_before=False), outcome, 0.1)
    return one.status, one.outcome, one.counted, one.error_class


@pytest.mark.parametrize(
    ("outcome", "counted", "expected"),
    [
        (Accepted("id"), 0, (Status.SENT, "accepted", True, None)),
        (Rejected("c", "r"), 0, (Status.FAILED, "rejected", True, "rejected")),
        (Stopped("c", "r"), 0, (Status.FAILED, "rejected", True, "rejected")),
        (Later("c", "r"), 0, (Status.SCHEDULED, "later", True, None)),
        (Later("c", "r"), 2, (Status.FAILED, "later", True, "exhausted")),
        (Later("c", "r", counted=False), 2, (Status.SCHEDULED, "later", False, None)),
        (Halted("c", "r"), 2, (Status.SCHEDULED, "halted", False, None)),
        (Unknown("c", "r"), 2, (Status.UNKNOWN, "unknown", True, None)),
    ],
)
def test_each_decision(outcome: Outcome, counted: int, expected: tuple[Status, str, bool, str | None]) -> None:
    assert settle(outcome, counted) == expected


def test_a_recipient_that_stopped_is_told_to_the_ledger_but_not_by_a_replay() -> None:
    flight = Flight(uuid4(), Channel.EMAIL, Lease(60, 2), ACCOUNT, POLICY)
    for outcome, tainted, stopped in (
        (Stopped("c", "r", http_status=400), False, True),
        (Stopped("c", "r", http_status=400), True, False),
        (Rejected("c", "r", http_status=400), False, False),
    ):
        sending = Sending(uuid4(), "+14155550100", "sender", 0, tried_before=tainted)
        one = settlement(flight, sending, fold(outcome, tainted=tainted), 0.1)
        assert one.recipient_stopped is stopped


def test_a_halt_of_the_shared_account_says_to_no_tenant_what_the_vendor_said_of_another() -> None:
    halted = Halted("c", "the acme.io domain is not verified", advice="verify the domain")
    for tenant, message in ((UUID(int=0), "verify the domain"), (UUID(int=7), "the acme.io domain is not verified")):
        flight = Flight(uuid4(), Channel.EMAIL, Lease(60, 2), replace(ACCOUNT, tenant_id=tenant), POLICY)
        one = settlement(flight, Sending(uuid4(), None, "sender", 0, tried_before=False), halted, 0.1)
        assert one.error_message == message


@pytest.mark.parametrize(
    "refusal",
    [
        Rejected("c", "r", http_status=422),
        Later("c", "r", http_status=429),
        Halted("c", "r", http_status=401),
        Later("withheld", "r"),
    ],
)
def test_a_refused_replay_leaves_it_unknown(refusal: Outcome) -> None:
    assert fold(refusal, tainted=False) is refusal
    assert isinstance(fold(refusal, tainted=True), Unknown)


@pytest.mark.parametrize("definite", [Accepted("id"), Rejected("c", "r", http_status=200), Unknown("c", "r")])
def test_an_acceptance_and_the_record_of_the_first_time_hold(definite: Outcome) -> None:
    assert fold(definite, tainted=True) is definite


def test_replays_come_less_and_less_often() -> None:
    delays = [replay_delay_seconds(replays) for replays in range(30)]
    assert delays == sorted(delays)
    assert delays[-1] == REPLAY_CAP_SECONDS
