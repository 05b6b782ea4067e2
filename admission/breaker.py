"""The breaker: the whole fleet leaves an account alone whose vendor does not work, until one message has got through.

Owns one record in Redis for each account in trouble, on Redis' clock; `lua/ask.lua` and `lua/report.lua` say what it
means. Ten failures of the vendor in a row open it, for 5 s, then twice as long each time up to a minute; then one
probe may pass. A Retry-After stands in the same record. It protects the vendor and the messages' budgets, not the
promise: where Redis is away or was wiped, every breaker is closed.

"In a row" is right enough, not exact: each process counts its own failures since its own last success and reports
them ten times a second, so successes and failures of two processes within that time may change places. A success is
reported only while failures are known, so that a healthy fleet reports nothing.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from time import monotonic
from typing import Any

import redis
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from admission.evidence import Evidence, evidence, pause_seconds
from config import log
from providers.base import Account, Later, Outcome

FAILURES = 10
OPEN_SECONDS = 5.0
LONGEST_OPEN_SECONDS = 60.0
PROBE_SECONDS = 30.0
"""Longer than any request takes; then the process that probes is dead, and another may."""
MEMORY_SECONDS = 600.0
"""A breaker of which nobody has heard for so long after its time is closed, and failures are no longer in a row."""
CACHE_SECONDS = 0.25
"""How long another process's news may go unnoticed; a busy worker would otherwise ask for every bundle."""
REPORT_SECONDS = 0.1
TIMEOUT_SECONDS = 0.5
AWAY_SECONDS = 5.0
"""After Redis did not answer, it is not asked again for so long: sending must not wait for it."""
INDEX = "fleet:breakers"
"""The Redis set of the records whose breaker is open."""

_log = log.get(__name__)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an account may do now: everything, or nothing but one message to find out (`probe`), or nothing."""

    word: str = "closed"
    why: Later | None = None
    """Why what may not go has to wait, and for how long; None where everything may go."""

    @property
    def probe(self) -> bool:
        """May one message pass, to find out?"""
        return self.word == "probe"


@dataclass(slots=True)
class Seen:
    """What this process has seen of one account since it last reported."""

    account: Account
    answered: bool = False
    failures: int = 0
    """Since the last answer."""
    probe: bool = False
    pause_seconds: float = 0.0
    error: str = ""

    def add(self, outcome: Outcome) -> None:
        """Take the outcome of one more request into account."""
        self.pause_seconds = max(self.pause_seconds, pause_seconds(outcome))
        match evidence(outcome):
            case Evidence.ANSWERED:
                self.answered, self.failures = True, 0
            case Evidence.FAILED:
                self.failures += 1
                self.error = str(outcome)[:200]


class Breaker:
    """The breakers of all accounts, as one process sees and feeds them. Lives on one event loop."""

    def __init__(self, redis_url: str, clock: Callable[[], float] | None = None) -> None:
        self._redis = Redis.from_url(
            redis_url,
            retry=Retry(NoBackoff(), 0),
            socket_timeout=TIMEOUT_SECONDS,
            socket_connect_timeout=TIMEOUT_SECONDS,
            decode_responses=True,
        )
        self._clock = clock
        self._ask = self._redis.register_script(_script("ask"))
        self._report = self._redis.register_script(_script("report"))
        self._known: dict[str, tuple[float, Verdict]] = {}
        self._seen: dict[str, Seen] = {}
        self._more = asyncio.Event()
        self._reporting = asyncio.Lock()
        self._away_until = 0.0

    async def ask(self, accounts: Iterable[Account]) -> Mapping[str, Verdict]:
        """Return the verdict on each account, by fingerprint. Whoever gets a probe sends it or gives it up."""
        of_key = {record_key(account): account for account in accounts}
        now = monotonic()
        verdicts = {key: known for key in of_key if (known := self._remembered(key, now))}
        missing = [key for key in of_key if key not in verdicts]
        if missing and now >= self._away_until:
            verdicts |= await self._ask_redis({key: of_key[key] for key in missing})
        return {account.fingerprint: verdicts.get(key, Verdict()) for key, account in of_key.items()}

    def note(self, account: Account, outcome: Outcome, *, probe: bool = False) -> None:
        """Take note of what a request has shown; `outcome` is that of any of its messages."""
        key = record_key(account)
        known = self._known.get(key, (0.0, Verdict()))[1]
        healthy = known.word == "closed" and key not in self._seen
        if healthy and not probe and evidence(outcome) is Evidence.ANSWERED and not pause_seconds(outcome):
            return
        seen = self._seen.setdefault(key, Seen(account))
        seen.add(outcome)
        seen.probe = seen.probe or probe
        self._more.set()

    def give_up(self, account: Account) -> None:
        """Give the right to a probe back: its message was not sent."""
        self._seen.setdefault(record_key(account), Seen(account)).probe = True
        self._more.set()

    async def run(self) -> None:
        """Report until cancelled."""
        while True:
            await self._more.wait()
            await self.flush()
            await asyncio.sleep(REPORT_SECONDS)

    async def flush(self) -> None:
        """Report what was seen, after what is being reported already; what Redis does not take is forgotten."""
        async with self._reporting:
            self._more.clear()
            seen, self._seen = self._seen, {}
            if seen:
                await self._report_all(seen)

    async def close(self) -> None:
        """Close the connections to Redis."""
        await self._redis.aclose()

    async def _report_all(self, seen: Mapping[str, Seen]) -> None:
        try:
            async with self._redis.pipeline(transaction=False) as pipe:
                for key, one in seen.items():
                    await self._report(keys=[key, INDEX], args=self._arguments(one), client=pipe)
                opened = await pipe.execute()
        except (redis.RedisError, OSError) as error:
            self._gave_no_answer(error)
            return
        for (key, one), is_open in zip(seen.items(), opened, strict=True):
            # The next bundle asks; until then a success is worth a report, where failures were reported.
            self._known[key] = (-CACHE_SECONDS, Verdict("watched" if one.failures else "closed"))
            if is_open and one.failures:
                _log.warning("breaker_open", provider=one.account.provider, tenant=str(one.account.tenant_id))

    def _remembered(self, key: str, now: float) -> Verdict | None:
        asked_at, verdict = self._known.get(key, (-CACHE_SECONDS, Verdict()))
        return verdict if now - asked_at < CACHE_SECONDS else None

    async def _ask_redis(self, of_key: Mapping[str, Account]) -> dict[str, Verdict]:
        try:
            answers = await self._ask(keys=list(of_key), args=[self._now(), PROBE_SECONDS, OPEN_SECONDS])
        except (redis.RedisError, OSError) as error:
            self._gave_no_answer(error)
            return {}
        found = {key: _verdict(of_key[key], answer) for key, answer in zip(of_key, answers, strict=True)}
        asked_at = monotonic()
        self._known |= {key: (asked_at, verdict) for key, verdict in found.items() if not verdict.probe}
        return found

    def _arguments(self, seen: Seen) -> list[Any]:
        return [
            self._now(),
            int(seen.answered),
            seen.failures,
            int(seen.probe),
            seen.pause_seconds,
            seen.error,
            str(seen.account.tenant_id),
            FAILURES,
            OPEN_SECONDS,
            LONGEST_OPEN_SECONDS,
            MEMORY_SECONDS,
        ]

    def _now(self) -> float | str:
        return self._clock() if self._clock else ""

    def _gave_no_answer(self, error: Exception) -> None:
        if monotonic() >= self._away_until:
            _log.warning("breaker_without_redis", error=type(error).__name__)
        self._away_until = monotonic() + AWAY_SECONDS


def record_key(account: Account) -> str:
    """Return the Redis key of an account's record."""
    return f"fleet:breaker:{account.provider}:{account.fingerprint}"


def moment(unix_seconds: str) -> str:
    """Return a moment of Redis' clock as a person reads it."""
    return f"{datetime.fromtimestamp(float(unix_seconds), UTC):%Y-%m-%d %H:%M:%S} UTC" if unix_seconds else "?"


def _verdict(account: Account, answer: Sequence[str]) -> Verdict:
    """Read one of the answers of `lua/ask.lua`."""
    word, seconds, until, since, error = answer
    if word == "open":
        reason = f"{account.provider} has not worked for this account since {moment(since)} ({error}); "
        return Verdict(word, _later("breaker_open", reason + f"it is tried again at {moment(until)}", seconds))
    if word == "probe":
        reason = f"{account.provider} has not worked for this account since {moment(since)} ({error}); "
        return Verdict(word, _later("breaker_open", reason + "one message tries it now", OPEN_SECONDS))
    if word == "blocked":
        reason = f"{account.provider} asked this account to wait until {moment(until)}"
        return Verdict(word, _later("rate_limited", reason, seconds))
    return Verdict(word)


def _later(code: str, reason: str, seconds: str | float) -> Later:
    return Later(code, reason, after_seconds=float(seconds), counted=False)


def _script(name: str) -> str:
    return files("admission").joinpath("lua", f"{name}.lua").read_text(encoding="utf-8")
