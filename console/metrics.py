"""The figures at `/metrics`, in Prometheus' format: the state of the fleet, read from the ledger and from Redis.

One exporter for the whole fleet, so that a figure does not depend on which process was asked. Refuses labels without
bound: no workspace, no address, no message.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from admission.open_breakers import OpenBreaker
from config import version
from config.catalog import CATALOG
from config.channels import Channel
from outbox.overview import ChannelView, Overview

OTHER = "other"


class _Figures(Collector):
    def __init__(self, seen: Overview, waiting_in_redis: dict[str, int], breakers: Sequence[OpenBreaker]) -> None:
        self._seen = seen
        self._waiting_in_redis = waiting_in_redis
        self._breakers = breakers

    def collect(self) -> Iterator[Metric]:
        """Yield every family."""
        yield from self._outbox()
        yield from self._queues()
        yield from self._events()
        yield self._vendors()
        yield from self._people()

    def _outbox(self) -> Iterator[Metric]:
        messages = GaugeMetricFamily(
            "fleet_outbox_messages",
            "Messages by channel and state; ends are of messages made in the last day",
            labels=["channel", "state"],
        )
        oldest = GaugeMetricFamily(
            "fleet_outbox_oldest_due_age_seconds",
            "How long the oldest message has waited that could go out now",
            labels=["channel"],
        )
        for (channel, state), count in _by_state(self._seen.channels).items():
            messages.add_metric([channel, state], count)
        for channel in Channel:
            oldest.add_metric([channel], self._seen.channels[channel].oldest_due_seconds)
        yield messages
        yield oldest

    def _queues(self) -> Iterator[Metric]:
        waiting = GaugeMetricFamily("fleet_broker_messages", "Bundles that wait in Redis", labels=["queue"])
        for queue, count in self._waiting_in_redis.items():
            waiting.add_metric([queue], count)
        workers = GaugeMetricFamily("fleet_workers", "Live sending processes", labels=["channel"])
        in_flight = GaugeMetricFamily("fleet_worker_requests_in_flight", "Requests under way", labels=["channel"])
        for channel in Channel:
            workers.add_metric([channel], self._seen.channels[channel].workers)
            in_flight.add_metric([channel], self._seen.channels[channel].in_flight)
        attempts = GaugeMetricFamily(
            "fleet_send_attempts_recent", "Requests of the last five minutes", labels=["provider", "outcome"]
        )
        for (provider, outcome), count in self._seen.attempts.items():
            attempts.add_metric([provider, outcome], count)
        yield from (waiting, workers, in_flight, attempts)

    def _events(self) -> Iterator[Metric]:
        unapplied = GaugeMetricFamily(
            "fleet_events_unapplied", "Events that wait for their message, or were given up", labels=["state"]
        )
        for state in ("waiting", "given_up"):
            unapplied.add_metric([state], self._seen.events.get(state, 0))
        polls = GaugeMetricFamily(
            "fleet_polls_waiting", "Messages whose vendor will be asked what became of them", labels=["state"]
        )
        for state in ("due", "later"):
            polls.add_metric([state], self._seen.polls.get(state, 0))
        yield from (unapplied, polls)
        yield CounterMetricFamily(
            "fleet_duplicates", "Messages that two requests were accepted for", value=self._seen.duplicates
        )

    def _vendors(self) -> Metric:
        found = GaugeMetricFamily(
            "fleet_breaker_open", "Provider accounts left alone because their vendor does not work", labels=["provider"]
        )
        accounts = Counter(breaker.provider for breaker in self._breakers)
        for provider in CATALOG:
            found.add_metric([provider], accounts[provider])
        return found

    def _people(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("fleet_pauses", "Pauses that hold now", value=len(self._seen.holds))
        yield GaugeMetricFamily(
            "fleet_accounts_halted", "Provider accounts that are halted", value=len(self._seen.halted)
        )
        jobs = GaugeMetricFamily("fleet_jobs", "Jobs by state", labels=["state"])
        for state, count in self._seen.jobs.items():
            jobs.add_metric([state], count)
        yield jobs
        build = GaugeMetricFamily("fleet_build_info", "The version that runs", labels=["version"])
        build.add_metric([version.current()], 1)
        yield build


def _by_state(channels: Mapping[str, ChannelView]) -> Counter[tuple[str, str]]:
    """Count by (channel, state). Whoever inserts rows makes up channels; what none of ours is called is `other`."""
    counted: Counter[tuple[str, str]] = Counter()
    for name, view in channels.items():
        label = name if name in set(Channel) else OTHER
        for state, count in {"due": view.due, "held": view.held, "later": view.later, **view.statuses}.items():
            counted[label, state] += count
    return counted


def exposition(seen: Overview, waiting_in_redis: dict[str, int], breakers: Sequence[OpenBreaker]) -> bytes:
    """Return the text that a scrape gets."""
    registry = CollectorRegistry()
    registry.register(_Figures(seen, waiting_in_redis, breakers))
    return generate_latest(registry)
