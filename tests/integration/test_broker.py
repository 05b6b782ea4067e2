"""The broker against a real Redis-protocol server."""

import threading
from collections.abc import Callable, Iterator

import pytest
from dramatiq import Message
from dramatiq.errors import ConnectionClosed

from config.broker import WAKE_LIMIT, Broker, Consumer, wake_key

PATIENCE_SECONDS = 20.0


@pytest.fixture
def broker(redis_url: str) -> Iterator[Broker]:
    opened = Broker(redis_url)
    opened.declare_queue("email")
    yield opened
    opened.close()


def consumer(broker: Broker, prefetch: int = 4) -> Consumer:
    found = broker.consume("email", prefetch=prefetch, timeout=1000)
    assert isinstance(found, Consumer)
    return found


def test_many_messages_arrive_in_order_in_one_round_trip(broker: Broker) -> None:
    broker.enqueue_all([("email", "send_email", (f"token {number}", [])) for number in range(10)])

    assert broker.lengths(["email", "sms"]) == {"email": 10, "sms": 0}
    reader = consumer(broker, prefetch=10)
    got = [next(reader) for _ in range(10)]
    assert [message.args[0] for message in got if message] == [f"token {number}" for number in range(10)]


def test_no_delayed_queue_is_declared(broker: Broker) -> None:
    assert broker.get_declared_queues() == {"email"}
    assert broker.delay_queues == set()


def test_an_idle_consumer_wakes_at_once(broker: Broker) -> None:
    reader, got = consumer(broker), threading.Event()

    def read() -> None:
        while next(reader) is None:
            pass
        got.set()

    thread = threading.Thread(target=read)
    thread.start()
    broker.enqueue_all([("email", "send_email", ("t", []))])
    assert got.wait(PATIENCE_SECONDS)
    thread.join()


def test_wake_tokens_are_bounded(broker: Broker) -> None:
    for _ in range(5):
        broker.enqueue_all([("email", "send_email", ("t", []))] * 50)

    assert broker.client.llen(wake_key("email")) == WAKE_LIMIT


def test_what_was_fetched_and_not_begun_goes_back(broker: Broker) -> None:
    broker.enqueue_all([("email", "send_email", (str(number), [])) for number in range(4)])
    reader = consumer(broker, prefetch=4)
    begun = next(reader)
    assert begun is not None

    reader.close()

    assert broker.lengths(["email"]) == {"email": 3}


def test_a_full_consumer_waits_for_room_and_not_for_a_token(broker: Broker) -> None:
    broker.enqueue_all([("email", "send_email", (str(number), [])) for number in range(2)])
    reader = consumer(broker, prefetch=1)
    first = next(reader)
    assert first is not None
    assert next(reader) is None

    reader.ack(first)

    second = next(reader)
    assert second is not None
    assert list(second.args) == ["1", []]


def test_a_message_that_cannot_be_decoded_is_dropped(broker: Broker, caplog: pytest.LogCaptureFixture) -> None:
    broker.do_enqueue("email", "broken", b"no message")
    broker.enqueue_all([("email", "send_email", ("fine", []))])
    reader = consumer(broker)

    got = [next(reader), next(reader)]

    assert [message.args[0] for message in got if message] == ["fine"]
    assert "cannot be decoded" in caplog.text


@pytest.mark.parametrize("verb", ["ack", "nack", "requeue", "close", "next"])
def test_a_redis_that_is_away_is_a_lost_connection(verb: str) -> None:
    away = Broker("redis://127.0.0.1:9/0")
    reader = consumer(away)
    message: Message[None] = Message("email", "send_email", (), {}, {"redis_message_id": "1"})
    reader.message_cache = [message.encode()] if verb == "close" else []
    from dramatiq.broker import MessageProxy

    calls: dict[str, Callable[[], object]] = {
        "ack": lambda: reader.ack(MessageProxy(message)),
        "nack": lambda: reader.nack(MessageProxy(message)),
        "requeue": lambda: reader.requeue([MessageProxy(message)]),
        "close": reader.close,
        "next": lambda: next(reader),
    }
    with pytest.raises(ConnectionClosed):
        calls[verb]()
