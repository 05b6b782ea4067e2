"""The breaker on a real Redis: two processes and one clock that the tests turn."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
import redis

from admission.breaker import FAILURES, MEMORY_SECONDS, PROBE_SECONDS, Breaker, Verdict, record_key
from admission.open_breakers import open_breakers
from providers.base import Accepted, Account, Halted, Later, Outcome, Rejected, Unknown

TENANT = UUID(int=7)
ACCOUNT = Account("twilio", TENANT, "0123456789abcdef", "http://127.0.0.1", {"authorization": "secret"})
OTHER = Account("twilio", UUID(int=8), "fedcba9876543210", "http://127.0.0.1", {})
TIMEOUT = Unknown("timeout", "the vendor did not answer in time")
ACCEPTED = Accepted("SM1")


@dataclass
class Clock:
    now: float = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


Process = Callable[[], Breaker]


@pytest.fixture
async def process(redis_url: str, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Process]:
    """Makes processes, each with a breaker of its own that remembers nothing of what Redis said."""
    monkeypatch.setattr("admission.breaker.CACHE_SECONDS", 0.0)
    made: list[Breaker] = []

    def make() -> Breaker:
        made.append(Breaker(redis_url, clock))
        return made[-1]

    yield make
    for breaker in made:
        await breaker.close()


async def verdict(breaker: Breaker, account: Account = ACCOUNT) -> Verdict:
    return (await breaker.ask([account]))[account.fingerprint]


async def report(breaker: Breaker, *outcomes: Outcome, probe: bool = False) -> None:
    for outcome in outcomes:
        breaker.note(ACCOUNT, outcome, probe=probe)
    await breaker.flush()


async def test_whoever_flushes_waits_for_the_report_under_way(process: Process) -> None:
    """The end of a drain would otherwise cut it off."""
    one = process()
    for _ in range(FAILURES):
        one.note(ACCOUNT, TIMEOUT)
    under_way = asyncio.create_task(one.flush())
    await asyncio.sleep(0)
    await one.flush()
    assert under_way.done()
    assert (await verdict(process())).word == "open"


async def test_ten_failures_in_a_row_open_it_for_everybody_and_for_nobody_else(process: Process) -> None:
    one, two = process(), process()
    await report(one, *[TIMEOUT] * 4)
    await report(two, *[TIMEOUT] * (FAILURES - 5))
    assert (await verdict(one)).why is None
    await report(two, TIMEOUT)

    for breaker in (one, two, process()):
        found = await verdict(breaker)
        assert found.why is not None
        assert (found.why.code, found.why.counted, found.why.after_seconds) == ("breaker_open", False, 5.0)
        assert "since 2027-01-15 08:00:00 UTC (timeout:" in found.why.reason
        assert found.why.reason.endswith("it is tried again at 2027-01-15 08:00:05 UTC")
        assert (await verdict(breaker, OTHER)).why is None


@pytest.mark.parametrize(
    "answer",
    [
        ACCEPTED,
        Rejected("c", "r", http_status=400),
        Halted("c", "r", http_status=401),
        Later("c", "r", http_status=429),
    ],
)
async def test_any_answer_of_the_vendor_begins_the_count_anew(process: Process, answer: Outcome) -> None:
    one, two = process(), process()
    await report(one, *[TIMEOUT] * (FAILURES - 1))
    await verdict(two)  # as before each bundle: it learns that failures are being counted
    await report(two, answer)
    await report(one, *[TIMEOUT] * (FAILURES - 1))

    assert (await verdict(one)).why is None


async def test_what_says_nothing_of_the_vendor_counts_for_nothing(process: Process) -> None:
    breaker = process()
    await report(breaker, *[Later("withheld", "r", counted=False), Unknown("crashed", "r")] * FAILURES)

    assert (await verdict(breaker)).why is None


async def test_half_open_lets_exactly_one_probe_of_the_fleet_through(process: Process, clock: Clock) -> None:
    one, two = process(), process()
    await report(one, *[TIMEOUT] * FAILURES)
    clock.now += 5.1

    assert [(await verdict(breaker)).probe for breaker in (one, two, one, two)] == [True, False, False, False]
    held = await verdict(two)
    assert held.why is not None
    assert held.why.code == "breaker_open"

    await report(one, ACCEPTED, probe=True)
    assert [(await verdict(breaker)).why for breaker in (one, two)] == [None, None]
    await report(one, *[TIMEOUT] * (FAILURES - 1))
    assert (await verdict(two)).why is None, "the count began anew"


async def test_each_failed_probe_keeps_it_open_twice_as_long_up_to_a_minute(process: Process, clock: Clock) -> None:
    breaker = process()
    await report(breaker, *[TIMEOUT] * FAILURES)
    waits = []
    for _ in range(6):
        found = await verdict(breaker)
        assert found.why is not None
        waits.append(found.why.after_seconds)
        clock.now += (found.why.after_seconds or 0) + 0.1
        assert (await verdict(breaker)).probe
        await report(breaker, TIMEOUT, probe=True)

    assert waits == [5.0, 10.0, 20.0, 40.0, 60.0, 60.0]


async def test_late_failures_of_requests_before_it_opened_do_not_keep_it_open(process: Process, clock: Clock) -> None:
    breaker = process()
    await report(breaker, *[TIMEOUT] * FAILURES)
    await report(breaker, *[TIMEOUT] * 50)
    clock.now += 5.1
    await report(breaker, *[TIMEOUT] * 50)

    assert (await verdict(breaker)).probe


async def test_a_probe_whose_process_died_gives_its_place_up(process: Process, clock: Clock) -> None:
    one, two = process(), process()
    await report(one, *[TIMEOUT] * FAILURES)
    clock.now += 5.1
    assert (await verdict(one)).probe

    clock.now += PROBE_SECONDS - 1
    assert not (await verdict(two)).probe
    clock.now += 1.1
    assert (await verdict(two)).probe


async def test_a_probe_that_was_not_sent_is_given_back(process: Process, clock: Clock) -> None:
    one, two = process(), process()
    await report(one, *[TIMEOUT] * FAILURES)
    clock.now += 5.1
    assert (await verdict(one)).probe
    one.give_up(ACCOUNT)
    await one.flush()

    assert (await verdict(two)).probe


async def test_a_pause_that_the_vendor_asks_for_is_kept_to_the_moment(process: Process, clock: Clock) -> None:
    one, two = process(), process()
    asked = Later("20429", "too many", http_status=429, after_seconds=30, counted=False)
    await report(one, asked)
    await report(one, Later("20429", "too many", http_status=429, after_seconds=3, counted=False), ACCEPTED)

    found = await verdict(two)
    assert found.why is not None
    assert (found.why.code, found.why.after_seconds) == ("rate_limited", 30.0)
    assert found.why.reason == "twilio asked this account to wait until 2027-01-15 08:00:30 UTC"
    clock.now += 30.1
    assert (await verdict(two)) == Verdict()


async def test_a_breaker_that_nobody_uses_is_forgotten(process: Process, redis_url: str) -> None:
    breaker = process()
    await report(breaker, *[TIMEOUT] * FAILURES)

    with redis.Redis.from_url(redis_url) as client:
        left = client.ttl(record_key(ACCOUNT))
    assert isinstance(left, int)
    assert MEMORY_SECONDS < left <= MEMORY_SECONDS + 10


async def test_a_wiped_redis_closes_it(process: Process, redis_url: str) -> None:
    breaker = process()
    await report(breaker, *[TIMEOUT] * FAILURES)
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()

    assert (await verdict(breaker)) == Verdict()


async def test_without_redis_it_is_closed_and_nothing_waits_or_fails() -> None:
    breaker = Breaker("redis://127.0.0.1:9/0")
    await report(breaker, *[TIMEOUT] * FAILURES)

    assert (await verdict(breaker)) == Verdict()
    await breaker.close()


async def test_a_healthy_account_costs_redis_nothing_but_a_look_now_and_then(redis_url: str) -> None:
    breaker = Breaker(redis_url)
    with redis.Redis.from_url(redis_url) as client:
        await verdict(breaker)
        before = commands(client)
        for _ in range(100):
            await report(breaker, ACCEPTED)
        asked = commands(client) - before
    await breaker.close()

    assert asked == 0


async def test_people_see_whose_it_is_since_when_until_when_and_why(process: Process, redis_url: str) -> None:
    breaker = process()
    with redis.Redis.from_url(redis_url) as client:
        assert open_breakers(client) == []
        await report(breaker, *[TIMEOUT] * FAILURES)
        (seen,) = open_breakers(client)
        assert (seen.provider, seen.tenant_id) == ("twilio", str(TENANT))
        at = datetime(2027, 1, 15, 8, tzinfo=UTC)
        assert (seen.since, seen.until) == (at, at + timedelta(seconds=5))
        assert seen.error == "timeout: the vendor did not answer in time"
        await report(breaker, ACCEPTED)
        assert open_breakers(client) == []
        assert client.exists(record_key(ACCOUNT)) == 0


def commands(client: redis.Redis) -> int:
    """Scripts that the server has run."""
    stats = client.info("commandstats")
    assert isinstance(stats, dict)
    return sum(int(stats.get(f"cmdstat_{name}", {}).get("calls", 0)) for name in ("evalsha", "eval"))
