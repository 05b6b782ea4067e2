"""Redis is wiped with everything that waits in it, and its workers were stopped meanwhile: nobody lays a hand on it."""

import time

import redis

from benchmarks.load import insert
from benchmarks.running import until
from config.broker import Broker
from tests.acceptance.conftest import Scene

CHANNELS = ("email", "sms", "voice")
MESSAGES = 2_000
"""Of each channel: more than its window in Redis takes while nobody works."""


def test_what_waits_in_redis_is_not_lost_with_it(scene: Scene) -> None:
    scene.fleet.start("scheduler", "scheduler")
    for channel in CHANNELS:
        insert(scene.owner, channel, MESSAGES, channel)
    broker = Broker(scene.fleet.redis_url)
    until(lambda: all(_window_is_full(scene, channel) for channel in CHANNELS))
    waiting, queued = broker.lengths(list(CHANNELS)), scene.statuses()["queued"]
    broker.close()

    with redis.Redis.from_url(scene.fleet.redis_url) as client:
        client.flushall()
    print(f"wiped with {waiting} bundles waiting, {queued} of {len(CHANNELS) * MESSAGES} messages queued")
    scene.fleet.start("worker", "workers", *CHANNELS)
    until(lambda: scene.all_are("sent"), patience_seconds=120)

    totals = scene.stats()["totals"]
    assert (totals["accepted"], totals["duplicates"]) == (len(CHANNELS) * MESSAGES, 0)


def _window_is_full(scene: Scene, channel: str) -> bool:
    """Is part of the channel in Redis, and the rest kept back, twice in a row?"""
    query = "SELECT count(*) FILTER (WHERE status = 'queued'), count(*) FROM channel_outbox WHERE channel = %s"
    before = scene.owner.execute(query, (channel,)).fetchone()
    time.sleep(0.5)  # a relay looks many times in that
    after = scene.owner.execute(query, (channel,)).fetchone()
    return before is not None and before == after and 0 < before[0] < before[1]
