"""Which filters are exactly a scope, and how its key is written."""

from uuid import UUID

import pytest

from outbox.scopes import Scope
from outbox.search import Filter
from outbox.states import Status

ID = UUID("0a0a0a0a-0000-4000-8000-000000000000")


@pytest.mark.parametrize(
    ("wanted", "key"),
    [
        (Filter(campaign_id=ID), f"campaign:{ID}"),
        (Filter(workspace_id=ID, statuses=[Status.QUEUED]), f"workspace:{ID}"),
        (Filter(workspace_id=ID, campaign_id=ID), f"workspace:{ID} campaign:{ID}"),
        (Filter(channel="sms"), "channel:sms"),
        (Filter(channel="sms", workspace_id=ID), f"workspace:{ID} channel:sms"),
        (Filter(workspace_id=ID, provider="twilio"), f"workspace:{ID} provider:twilio"),
        (Filter(provider="resend"), "provider:resend"),
    ],
)
def test_a_scope(wanted: Filter, key: str) -> None:
    scope = Scope.of(wanted)
    assert scope is not None
    assert scope.key == key


@pytest.mark.parametrize(
    "wanted",
    [
        Filter(),
        Filter(statuses=[Status.QUEUED]),
        Filter(ids=[ID]),
        Filter(error_code="x"),
        Filter(channel="sms", recipient="+1"),
        Filter(channel="sms", campaign_id=ID),
        Filter(channel="sms", workspace_id=ID, campaign_id=ID),
    ],
)
def test_no_scope(wanted: Filter) -> None:
    assert Scope.of(wanted) is None
