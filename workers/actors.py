"""The Dramatiq side of a sending process: the broker, one actor for each channel, for its replays, look-ups and
polls, for events and for jobs.

Retries belong to the ledger, so an actor that fails is not tried again: its claim runs out instead. Message arguments
are ids and tokens, because they are shown wherever a message is.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any, TypeVar
from uuid import UUID

import dramatiq
from dramatiq import Worker
from dramatiq.asyncio import EventLoopThread, get_event_loop_thread, set_event_loop_thread
from dramatiq.middleware import AsyncIO, Middleware, Retries

from config import log
from config.broker import Broker
from config.catalog import served_channels
from config.channels import (
    APPLY_EVENTS_ACTOR,
    EVENTS_QUEUE,
    JOBS_QUEUE,
    RUN_JOB_ACTOR,
    Channel,
    actor_name,
    look_up_actor_name,
    poll_actor_name,
    replay_actor_name,
)
from config.database import AWAY
from config.servers import Addresses
from config.settings import Settings, VendorSettings
from outbox.readiness import NotReady
from workers import fence
from workers.apply_events import apply_events
from workers.poll import poll
from workers.reconcile import look_up
from workers.replay import replay_batch
from workers.run_job import run_job
from workers.runtime import Runtime, open_runtime
from workers.send import send_bundle

OPENING_SECONDS = 60.0
CLOSING_SECONDS = 2.0
"""Of the time for draining, what is kept for leaving."""

_Result = TypeVar("_Result")
_log = log.get(__name__)


class DaemonLoop(AsyncIO):
    """Dramatiq's event loop, on a thread that does not keep a process alive which was told twice to end."""

    def before_worker_boot(self, broker: dramatiq.Broker, worker: Worker) -> None:
        """Start the loop; its thread is the one that sends, and the one on which the fence stands."""
        thread = EventLoopThread(self.logger)
        thread.daemon = True
        thread.start(timeout=5.0)
        set_event_loop_thread(thread)
        on_loop(fence.take_in_this_thread(), timeout_seconds=5)


class Opening(Middleware):
    """Opens the runtime before the first message, and closes it after the last."""

    def __init__(self, settings: Settings, vendors: Mapping[str, VendorSettings], addresses: Addresses) -> None:
        self._settings = settings
        self._vendors = vendors
        self._addresses = addresses
        self._runtime: Runtime | None = None
        self._drained_by = 0.0

    @property
    def runtime(self) -> Runtime:
        """The open runtime; only messages ask for it, and none comes before it is open."""
        if self._runtime is None:
            raise RuntimeError("a message came before the worker had booted")
        return self._runtime

    def before_worker_boot(self, broker: dramatiq.Broker, worker: Worker) -> None:
        """Open on the loop's thread; consumers start after this.

        Dramatiq logs what a hook raises and goes on, so a process that cannot open ends here.
        """
        queues = worker.consumer_whitelist or broker.get_declared_queues()
        opening = open_runtime(self._settings, self._vendors, self._addresses, queues)
        try:
            self._runtime = on_loop(opening, OPENING_SECONDS)
        except NotReady as why:
            _log.error("not_ready", reason=str(why))
            os._exit(1)
        except Exception:  # noqa: BLE001 - whatever it is, this process cannot work
            _log.exception("not_opened")
            os._exit(1)

    def before_worker_shutdown(self, broker: dramatiq.Broker, worker: Worker) -> None:
        """Begin to count: stopping the threads takes its part of the time for draining."""
        self._drained_by = monotonic() + self._settings.drain_seconds - CLOSING_SECONDS

    def after_worker_shutdown(self, broker: dramatiq.Broker, worker: Worker) -> None:
        """Let what is under way end; what does not end in time is left to its lease."""
        try:
            on_loop(self.runtime.drain(), max(0.0, self._drained_by - monotonic()))
        except TimeoutError:
            _log.warning("drain_cut_short", in_flight=self.runtime.budget.in_flight)
        try:
            on_loop(self.runtime.close(), CLOSING_SECONDS)
        except TimeoutError:
            _log.warning("closing_cut_short")


def on_loop(work: Coroutine[Any, Any, _Result], timeout_seconds: float) -> _Result:
    """Run a coroutine on the process's loop, from another thread. Raises TimeoutError, and ends it then."""
    thread = get_event_loop_thread()
    if thread is None:
        raise RuntimeError("the loop is not running")
    result = asyncio.run_coroutine_threadsafe(work, thread.loop)
    try:
        return result.result(timeout_seconds)
    except TimeoutError:
        result.cancel()
        raise


@dataclass(frozen=True, slots=True)
class Application:
    """A broker with every actor, and what opens when a `dramatiq.Worker` on it boots."""

    broker: Broker
    opening: Opening


def build(settings: Settings, vendors: Mapping[str, VendorSettings], addresses: Addresses) -> Application:
    """Build the application of a sending process; nothing is connected before a worker boots."""
    opening = Opening(settings, vendors, addresses)
    broker = Broker(addresses.redis_url, [DaemonLoop(), Retries(max_retries=0), opening])
    for channel in served_channels():
        _declare_channel(broker, channel, opening)

    async def run(token: str, id_: str) -> None:
        await run_job(opening.runtime, UUID(token), UUID(id_))

    async def apply(ids: list[int]) -> None:
        await apply_events(opening.runtime, ids)

    _declare(broker, APPLY_EVENTS_ACTOR, EVENTS_QUEUE, apply)
    _declare(broker, RUN_JOB_ACTOR, JOBS_QUEUE, run)
    return Application(broker, opening)


def _declare_channel(broker: Broker, channel: Channel, opening: Opening) -> None:
    async def send(token: str, ids: list[str]) -> None:
        await send_bundle(opening.runtime, channel, UUID(token), ids)

    async def replay(token: str, send_key: str) -> None:
        await replay_batch(opening.runtime, channel, UUID(token), UUID(send_key))

    async def look(token: str, ids: list[str]) -> None:
        await look_up(opening.runtime, channel, UUID(token), ids)

    async def ask(ids: list[str]) -> None:
        await poll(opening.runtime, channel, ids)

    _declare(broker, actor_name(channel), channel.value, send)
    _declare(broker, replay_actor_name(channel), channel.value, replay)
    _declare(broker, look_up_actor_name(channel), channel.value, look)
    _declare(broker, poll_actor_name(channel), channel.value, ask)


def _declare(broker: Broker, name: str, queue: str, work: Callable[..., Awaitable[None]]) -> None:
    async def run(*arguments: Any) -> None:
        try:
            await work(*arguments)
        except AWAY as error:  # its claim in the ledger runs out, and it comes again
            _log.warning("given_up", actor=name, error=type(error).__name__)

    dramatiq.actor(actor_name=name, queue_name=queue, broker=broker)(run)
