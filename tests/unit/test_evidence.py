"""What an outcome says of the vendor."""

import pytest

from admission.evidence import Evidence, evidence, pause_seconds
from providers.base import Accepted, Halted, Later, Outcome, Rejected, Unknown


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (Accepted("id"), Evidence.ANSWERED),
        (Rejected("c", "r", http_status=422), Evidence.ANSWERED),
        (Halted("c", "r", http_status=401), Evidence.ANSWERED),
        (Later("c", "r", http_status=429), Evidence.ANSWERED),
        (Unknown("c", "r", http_status=409), Evidence.ANSWERED),
        (Later("not_connected", "r"), Evidence.FAILED),
        (Unknown("timeout", "r"), Evidence.FAILED),
        (Unknown("connection_lost", "r"), Evidence.FAILED),
        (Unknown("c", "r", http_status=500), Evidence.FAILED),
        (Unknown("c", "r", http_status=503), Evidence.FAILED),
        (Later("withheld", "r", counted=False), Evidence.NOTHING),
        (Unknown("crashed", "r"), Evidence.NOTHING),
        (Unknown("unreadable_answer", "r"), Evidence.NOTHING),
    ],
)
def test_only_the_vendors_own_failures_count(outcome: Outcome, expected: Evidence) -> None:
    assert evidence(outcome) is expected


@pytest.mark.parametrize(
    ("outcome", "seconds"),
    [
        (Later("c", "r", http_status=429, after_seconds=3, counted=False), 3),
        (Later("c", "r", http_status=429), 0),
        (Later("c", "r", http_status=429, after_seconds=1e9), 86_400),
        (Later("batch_refused", "r", http_status=422, after_seconds=0), 0),
        (Later("not_connected", "r"), 0),
        (Unknown("c", "r", http_status=500), 0),
        (Accepted("id"), 0),
    ],
)
def test_retry_after_is_for_the_whole_account(outcome: Outcome, seconds: float) -> None:
    assert pause_seconds(outcome) == seconds
