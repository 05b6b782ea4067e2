"""Everything that one sending process holds open, and the loops beside its requests.

Owns the order of opening and closing. Lives on one event loop, the one on which the requests are sent.
"""

import asyncio
import os
import signal
import socket
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from uuid import uuid4

from admission.accounts import Accounts
from admission.breaker import Breaker
from admission.unsubscribe import Links
from config import log, tasks, version
from config.channels import Channel
from config.clock import boottime
from config.database import AWAY, Pool, pool
from config.servers import Addresses
from config.settings import Settings, VendorSettings
from outbox import batches, presence
from outbox.addresses import Allowed
from outbox.readiness import wait_until_ready
from outbox.unknowns import Patience
from providers import registry
from providers.base import Provider
from providers.client import Client
from workers.budget import Budget
from workers.flight import Sender
from workers.gate import Gate
from workers.lease import Lease
from workers.pauses import Pauses
from workers.settle import Flusher

CONNECTIONS = 256
"""Requests under way in one process. At 25 ms a request this is more than one core can send."""
POOL_SIZE = 4

_log = log.get(__name__)


@dataclass(slots=True)
class Runtime:
    """Made by `open_runtime`; closed by `close`."""

    settings: Settings
    providers: Mapping[str, Provider]
    pool: Pool
    client: Client
    accounts: Accounts
    breaker: Breaker
    budget: Budget
    flusher: Flusher
    sender: Sender
    presence: presence.Presence
    allowed: Allowed
    links: Links
    gate: Gate
    looking: set[Channel]
    """Channels of which vendors are being asked about attempts of which nobody knows the outcome."""
    polling: set[Channel]
    """Channels of which vendors are being asked what became of messages."""
    loops: list[asyncio.Task[None]]
    retiring: bool = False
    """A person has asked this process to drain and end."""

    @property
    def patience(self) -> Patience:
        """When a vendor is asked about an attempt that nobody knows the outcome of."""
        return Patience(self.settings.reconcile_grace_seconds, self.settings.reconcile_horizon_seconds)

    def new_lease(self) -> Lease:
        """Return a lease that counts from now; make it before the transaction that takes it."""
        return Lease(self.settings.lease_seconds, self.settings.lease_margin_seconds)

    async def drain(self) -> None:
        """Start nothing any more, and wait for the end of everything that has started."""
        await self.gate.close()
        await self.settled()

    async def settled(self) -> None:
        """Wait until every request under way has its outcome in the ledger."""
        await self.sender.drained()
        await self.flusher.drained()
        await self.breaker.flush()

    async def close(self) -> None:
        """Stop the loops, leave the list of workers, close connections."""
        await tasks.end(self.loops)
        try:
            await asyncio.wait_for(presence.leave(self.pool, self.presence.id), 2)
        except (*AWAY, TimeoutError):
            _log.warning("left_without_saying_so")  # its row grows old by itself
        await self.client.close()
        await self.breaker.close()
        await self.pool.close(timeout=2)


async def open_runtime(
    settings: Settings, vendors: Mapping[str, VendorSettings], addresses: Addresses, queues: Collection[str]
) -> Runtime:
    """Open connections and begin the loops of a sending process that serves `queues`."""
    await wait_until_ready(settings, addresses.database_url)
    providers = registry.load()
    database = pool(settings, addresses.database_url, size=POOL_SIZE, process="worker")
    await database.open()
    client = Client(connections=CONNECTIONS, timeout_seconds=settings.request_timeout_seconds)
    accounts = Accounts(database, providers, vendors, settings.keyring, settings.public_url)
    breaker = Breaker(addresses.redis_url)
    budget = Budget(CONNECTIONS)
    here = presence.Presence(
        uuid4(), socket.gethostname(), os.getpid(), sorted(queues), settings.worker_threads, version.current()
    )
    allowed = Allowed.parse(settings.allowed_recipients)
    flusher = Flusher(database, f"{here.host}:{here.pid}")
    pauses = Pauses(database)
    sender = Sender(client, budget, flusher, accounts=accounts, breaker=breaker, pauses=pauses)
    runtime = Runtime(
        settings,
        providers,
        database,
        client,
        accounts,
        breaker,
        budget,
        flusher,
        sender,
        here,
        allowed,
        Links(settings.public_url, settings.secret_keys),
        Gate(),
        set(),
        set(),
        [],
    )
    _begin_loops(runtime, pauses)
    return runtime


def _begin_loops(runtime: Runtime, pauses: Pauses) -> None:
    loops = {
        "settle": runtime.flusher.run(),
        "breaker": runtime.breaker.run(),
        "pauses": pauses.run(lambda: bool(runtime.sender.live)),
        "renew": _renew(runtime),
        "presence": _be_present(runtime),
    }
    for name, loop in loops.items():
        runtime.loops.append(asyncio.create_task(loop, name=name))
        runtime.loops[-1].add_done_callback(_ended)


def _ended(loop: "asyncio.Task[None]") -> None:
    """End the process with its loop: one that sends and does not settle would do harm for as long as it lives."""
    if not loop.cancelled() and (error := loop.exception()):
        _log.error("loop_died", loop=loop.get_name(), exc_info=error)
        os._exit(1)


async def _renew(runtime: Runtime) -> None:
    """Renew the leases of batches in flight: their settlement may have to wait for the database."""
    while True:
        await asyncio.sleep(runtime.settings.lease_seconds / 3)
        leases = {send_key: live.flight.lease for send_key, live in runtime.sender.live.items()}
        if not leases:
            continue
        began = boottime()
        try:
            tokens = {send_key: lease.token for send_key, lease in leases.items()}
            ours = await batches.renew(runtime.pool, tokens, runtime.settings.lease_seconds)
        except AWAY as error:
            _log.warning("renewal_failed", error=type(error).__name__)
            continue
        for send_key in ours:
            leases[send_key].renewed(began)


async def _be_present(runtime: Runtime) -> None:
    while True:
        try:
            asked = await presence.announce(runtime.pool, runtime.presence, runtime.budget.in_flight)
            if asked and not runtime.retiring:
                _retire(runtime)
        except AWAY as error:
            _log.warning("presence_failed", error=type(error).__name__)
        await asyncio.sleep(presence.ANNOUNCE_SECONDS)


def _retire(runtime: Runtime) -> None:
    """Drain and end, as for the parent: a person has asked for it."""
    _log.info("retiring")
    runtime.retiring = True
    os.kill(os.getpid(), signal.SIGTERM)
