"""The Dramatiq broker over Redis, made for messages that are hints: the ledger holds what must not be lost.

Owns four departures from Dramatiq's own: many messages are enqueued in one round trip; a consumer waits on a wake
token instead of polling; no delayed queues are consumed (a delay is a time in the ledger); a Redis that does not
answer counts as a lost connection, and what a consumer had fetched goes back when it closes.
"""

from collections.abc import Iterable, Sequence
from threading import Event
from time import time
from typing import Any
from uuid import uuid4

import dramatiq
import redis
from dramatiq.broker import MessageProxy
from dramatiq.brokers.redis import RedisBroker, _RedisConsumer
from dramatiq.errors import ConnectionClosed
from dramatiq.message import Message
from dramatiq.middleware import Middleware
from redis.backoff import NoBackoff
from redis.retry import Retry

NAMESPACE = "dramatiq"
HEARTBEAT_TIMEOUT_MILLISECONDS = 60_000
MAINTENANCE_CHANCE = 100_000
"""One command in ten looks for messages of dead workers; the default of one in a thousand takes minutes when idle."""
DEAD_MESSAGE_TTL_MILLISECONDS = 3_600_000
WAIT_SECONDS = 1.0
"""How long an idle consumer waits for a wake token; also how long it may take to notice that it must stop."""
WAKE_LIMIT = 32
"""Tokens that are kept for consumers which are busy; more would only cause empty fetches."""
SOCKET_SECONDS = 5.0

Enqueued = tuple[str, str, tuple[Any, ...]]
"""Queue, actor, arguments."""


def wake_key(queue: str) -> str:
    """Return the Redis list on which a queue's idle consumers wait."""
    return f"fleet:wake:{queue}"


def client(redis_url: str) -> redis.Redis:
    """Return a client that never repeats a command by itself: a repeated enqueue is a message twice."""
    return redis.Redis.from_url(
        redis_url,
        retry=Retry(NoBackoff(), 0),
        socket_timeout=SOCKET_SECONDS,
        socket_connect_timeout=SOCKET_SECONDS,
        max_connections=200,
    )


class Broker(RedisBroker):
    """Dramatiq's Redis broker with the departures named above."""

    def __init__(self, redis_url: str, middleware: Sequence[Middleware] = ()) -> None:
        super().__init__(
            client=client(redis_url),
            middleware=list(middleware),
            namespace=NAMESPACE,
            maintenance_chance=MAINTENANCE_CHANCE,
            heartbeat_timeout=HEARTBEAT_TIMEOUT_MILLISECONDS,
            dead_message_ttl=DEAD_MESSAGE_TTL_MILLISECONDS,
        )

    @property
    def consumer_class(self) -> type["Consumer"]:
        """The consumer that waits instead of polling."""
        return Consumer

    def declare_queue(self, queue_name: str) -> None:
        """Declare a queue, and no delayed queue beside it."""
        if queue_name not in self.queues:
            self.emit_before("declare_queue", queue_name)
            self.queues.add(queue_name)
            self.emit_after("declare_queue", queue_name)

    def enqueue_all(self, messages: Iterable[Enqueued]) -> None:
        """Enqueue messages and wake their consumers, in one round trip.

        Raises redis.RedisError: nobody knows then which of them arrived, and the claim's lease decides.
        """
        pipe = self.client.pipeline(transaction=False)
        wakes: dict[str, int] = {}
        for queue, actor, args in messages:
            self._push(pipe, Message(queue_name=queue, actor_name=actor, args=args, kwargs={}, options={}))
            wakes[queue] = wakes.get(queue, 0) + 1
        for queue, count in wakes.items():
            pipe.lpush(wake_key(queue), *([b"1"] * min(count, WAKE_LIMIT)))
            pipe.ltrim(wake_key(queue), 0, WAKE_LIMIT - 1)
        pipe.execute()

    def lengths(self, queues: Sequence[str]) -> dict[str, int]:
        """Return how many messages wait in each queue. Raises redis.RedisError."""
        pipe = self.client.pipeline(transaction=False)
        for queue in queues:
            pipe.llen(f"{self.namespace}:{queue}")
        return dict(zip(queues, pipe.execute(), strict=True))

    def _push(self, pipe: Any, message: "Message[Any]") -> None:
        message = message.copy(options={"redis_message_id": str(uuid4())})
        self.emit_before("enqueue", message, None)
        self.scripts["dispatch"](
            keys=[self.namespace],
            args=[
                "enqueue",
                int(time() * 1000),
                message.queue_name,
                self.broker_id,
                self.heartbeat_timeout,
                self.dead_message_ttl,
                0,
                self._max_unpack_size(),
                message.options["redis_message_id"],
                message.encode(),
            ],
            client=pipe,
        )
        self.emit_after("enqueue", message, None)


class Consumer(_RedisConsumer):
    """One queue's consumer in one worker process."""

    def __init__(self, broker: Broker, queue_name: str, prefetch: int, timeout: int) -> None:
        super().__init__(broker, queue_name, prefetch, timeout)
        self._room = Event()

    def __next__(self) -> MessageProxy | None:
        """Return the next message, or None after a wait for one."""
        try:
            if not self.message_cache and not self._fetch():
                return None
            return self._decoded(self.message_cache.pop(0))
        except redis.RedisError as error:
            raise ConnectionClosed(error) from None

    def ack(self, message: MessageProxy) -> None:
        """Take a processed message out of Redis."""
        self._answered(super().ack, message)

    def nack(self, message: MessageProxy) -> None:
        """Put a message that cannot be processed aside."""
        self._answered(super().nack, message)

    def requeue(self, messages: Iterable[MessageProxy]) -> None:
        """Give messages back that were fetched and not begun."""
        try:
            super().requeue(messages)
        except redis.RedisError as error:
            raise ConnectionClosed(error) from None

    def close(self) -> None:
        """Give back what is still in the cache; otherwise it would wait for this process to end."""
        fetched, self.message_cache = [Message.decode(data) for data in self.message_cache if data], []
        self.requeue([MessageProxy(message) for message in fetched])

    def _fetch(self) -> bool:
        """Fill the cache; where there is nothing, wait for a token, where there is no room, for room."""
        self._room.clear()
        room = self.prefetch - self.outstanding_message_count
        if room <= 0:
            self._room.wait(WAIT_SECONDS)
            return False
        self.message_cache = self.broker.do_fetch(self.queue_name, room)
        if not self.message_cache:
            self.broker.client.blpop([wake_key(self.queue_name)], timeout=WAIT_SECONDS)
        return bool(self.message_cache)

    def _decoded(self, data: bytes | None) -> MessageProxy | None:
        if data is None:  # acknowledged by another process in between
            return None
        try:
            message = Message.decode(data)
        except dramatiq.DecodeError:
            self.logger.exception("dropped a message that cannot be decoded")
            return None
        self.queued_message_ids.add(message.message_id)
        return MessageProxy(message)

    def _answered(self, command: Any, message: MessageProxy) -> None:
        try:
            command(message)
        except redis.RedisError as error:
            raise ConnectionClosed(error) from None
        finally:
            self._room.set()
