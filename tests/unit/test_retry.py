"""When a message is tried again."""

from hypothesis import given
from hypothesis import strategies as st

from config.channels import CHANNELS, Channel
from config.settings import load
from outbox.retry import LONGEST_SECONDS, Policy

policies = st.builds(Policy, st.floats(0.1, 1000), st.floats(1000, 10_000), st.integers(1, 50))
chance = st.floats(0, 1, exclude_max=True)


@given(policies, st.integers(1, 10_000), chance)
def test_a_delay_lies_between_now_and_the_cap(policy: Policy, counted: int, draw: float) -> None:
    assert 0 <= policy.delay_seconds(counted, rand=lambda: draw) <= policy.cap_seconds


@given(policies, st.integers(1, 100), chance)
def test_the_bound_doubles_until_the_cap(policy: Policy, counted: int, draw: float) -> None:
    first = policy.delay_seconds(counted, rand=lambda: draw)
    assert policy.delay_seconds(counted + 1, rand=lambda: draw) >= first


@given(policies, st.integers(1, 100), st.floats(-10, 1e9), chance)
def test_never_sooner_than_the_vendor_asked(policy: Policy, counted: int, asked: float, draw: float) -> None:
    wanted = min(max(asked, 0), LONGEST_SECONDS)
    assert policy.delay_seconds(counted, asked_seconds=asked, rand=lambda: draw) >= wanted
    waits = policy.capacity_delay_seconds(asked, rand=lambda: draw)
    assert wanted <= waits <= wanted + max(policy.base_seconds, 1)


@given(policies, st.integers(0, 100))
def test_a_budget_ends_where_it_says(policy: Policy, counted: int) -> None:
    assert policy.exhausted(counted) == (counted >= policy.max_attempts)


def test_the_environment_overrides_the_channel() -> None:
    facts = CHANNELS[Channel.SMS]
    assert Policy.of(Channel.SMS, load({})) == Policy(
        facts.retry_base_seconds, facts.retry_cap_seconds, facts.max_attempts
    )
    settings = load({"FLEET_RETRY_BASE_SECONDS": "7200", "FLEET_RETRY_MAX_ATTEMPTS": "2"})
    assert Policy.of(Channel.SMS, settings) == Policy(7200, 7200, 2)
