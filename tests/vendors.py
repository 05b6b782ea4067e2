"""The providers as tests use them: accounts and messages for any of them, and the simulator in this process."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID, uuid5

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from config.catalog import CATALOG
from config.channels import CHANNELS, Channel
from config.settings import VendorSettings, load_together
from providers import registry
from providers.base import Account, Message, Outcome, Provider, Request, SendError, attempt_id
from providers.client import Client
from providers.lookup import Page, Question
from simulator.app import create_app
from simulator.simulation import Options

PROVIDERS: Mapping[str, Provider] = registry.load()
ADDRESSES = {"email": "ada@mail.io", "phone": "+14155550100", None: None}
STAND_IN_URL = "http://127.0.0.1:9"
SEND_KEY = UUID("5e4d0000-0000-4000-8000-000000000000")
_NAMESPACE = UUID("0a0a0a0a-0000-4000-8000-000000000000")

PATIENT_SECONDS = 20.0
"""A test that waits longer than this has failed, also on a slow machine."""


def settings_of(name: str, environ: Mapping[str, str]) -> VendorSettings:
    """A vendor's own variables, read as every process reads them."""
    _, (settings,) = load_together(environ, [PROVIDERS[name].environment])
    return settings


def account_of(name: str, url: str = STAND_IN_URL, **credentials: str) -> Account:
    """The stand-in account of a vendor on this machine, with some of its credentials changed."""
    account = PROVIDERS[name].account_from_environment(settings_of(name, {CATALOG[name].url_variable: url}))
    return replace(account, credentials={**account.credentials, **credentials})


def message_of(
    channel: str, payload: Mapping[str, Any], address: str | None = None, *, number: int = 0, send_key: UUID = SEND_KEY
) -> Message:
    """A message as the worker hands it to a provider; its `number` tells it from others."""
    id_ = uuid5(_NAMESPACE, str(number))
    to = ADDRESSES[CHANNELS[Channel(channel)].address] if address is None else address
    return Message(id_, Channel(channel), to, payload, attempt_id(send_key, id_), send_key)


def request_of(name: str, *messages: Message, account: Account | None = None) -> Request:
    """Render, join and address messages, as the worker does."""
    provider, account = PROVIDERS[name], account or account_of(name)
    parts = [provider.render(message, account) for message in messages]
    ids = [message.id for message in messages]
    return provider.request(provider.join(parts), parts[0].path, ids, account, messages[0].send_key)


@dataclass(frozen=True)
class Vendors:
    """The simulator, and the fleet's own client that speaks with it."""

    api: TestClient[web.Request, web.Application]
    client: Client

    @property
    def url(self) -> str:
        return str(self.api.make_url("/")).rstrip("/")

    async def send(self, name: str, *messages: Message, **credentials: str) -> list[Outcome]:
        """Send messages in one request; what became of each, as the worker learns it."""
        request = request_of(name, *messages, account=account_of(name, self.url, **credentials))
        try:
            return list(PROVIDERS[name].outcomes(request, await self.client.send(request)))
        except SendError as error:
            return [error] * len(messages)

    async def ask(self, name: str, question: Question, **credentials: str) -> list[Page]:
        """Ask what the vendor accepted; all pages of its answer. Raises SendError."""
        account, provider = account_of(name, self.url, **credentials), PROVIDERS[name]
        pages: list[Page] = []
        while not pages or pages[-1].next_page is not None:
            page = pages[-1].next_page if pages else None
            response = await self.client.send(provider.lookup_request(question, account, page))
            pages.append(provider.lookup_page(question, response))
        return pages

    async def order(self, name: str, kind: str, **fault: Any) -> None:
        """Order one fault of a vendor."""
        async with self.api.post("/faults", json={"vendor": name, "kind": kind, "count": 1, **fault}) as response:
            assert response.status == 201, await response.text()

    async def counts(self, name: str) -> Any:
        """What the vendor counted."""
        async with self.api.get("/stats") as response:
            return (await response.json())[name]


@asynccontextmanager
async def simulated(
    options: Options | None = None, *, timeout_seconds: float = PATIENT_SECONDS
) -> AsyncIterator[Vendors]:
    """Run the simulator and a client until the end of the block."""
    client = Client(connections=8, timeout_seconds=timeout_seconds)
    async with TestClient(TestServer(create_app(options))) as api:
        try:
            yield Vendors(api, client)
        finally:
            await client.close()
