"""One-click unsubscribe: from the header of a campaign's mail to the next mail that is not sent."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.routing import Route

from admission.unsubscribe import PATH, Links
from config.channels import Channel
from config.database import Pool, pool
from config.settings import Settings
from console.unsubscribe import BODY_LIMIT_BYTES, PATIENCE_SECONDS, Desk, fields_of, unsubscribe
from console.uploads import Uploads
from outbox import events
from outbox.unsubscribing import Recipient
from tests.factories import column_of, insert, status_of, travel
from tests.integration.conftest import Open, Vendors, deliver
from workers.apply_events import apply_events

KEY = "k" * 32
PUBLIC_URL = "https://fleet.acme.io/in"
LINKS = Links(PUBLIC_URL, (KEY,))
ONE_CLICK = b"List-Unsubscribe=One-Click"
RESUBSCRIBE = b"resubscribe=yes"
FORM = "application/x-www-form-urlencoded"
PERSON = "delivered+person@resend.dev"


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    text: str


@dataclass
class Web:
    """The door alone, asked as a server asks it."""

    desk: Desk

    async def ask(
        self, token: str, body: bytes | None = None, content_type: str = FORM, pieces: int = 1, stalls: bool = False
    ) -> Answer:
        app = Starlette(routes=[Route(PATH + "{token}", unsubscribe, methods=["GET", "POST"])])
        app.state.unsubscribing = self.desk
        scope = {
            "type": "http",
            "method": "GET" if body is None else "POST",
            "scheme": "http",
            "path": PATH + token,
            "query_string": b"",
            "headers": [(b"host", b"inside:8000"), (b"content-type", content_type.encode("latin-1", "replace"))],
        }
        body = body or b""
        size = -(-len(body) // pieces) or 1
        parts = [body[start : start + size] for start in range(0, len(body), size)] or [b""]
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            if stalls and not parts:
                await asyncio.Event().wait()
            part = parts.pop(0) if parts else b""
            return {"type": "http.request", "body": part, "more_body": stalls or bool(parts)}

        async def send(message: Any) -> None:
            sent.append(message)

        await app(scope, receive, send)
        headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        return Answer(sent[0]["status"], headers, b"".join(one.get("body", b"") for one in sent[1:]).decode())


@pytest.fixture
def web(ledger: Pool) -> Web:
    return Web(Desk(ledger, LINKS))


def token_of(who: Recipient, links: Links = LINKS) -> str:
    url = links.url(who)
    assert url is not None
    return url.removeprefix(PUBLIC_URL + PATH)


def recipient(workspace: UUID | None = None, address: str = PERSON, message: UUID | None = None) -> Recipient:
    return Recipient(workspace or uuid4(), Channel.EMAIL, address, message or uuid4())


def stored(owner: psycopg.Connection) -> list[str]:
    return [row[0] for row in owner.execute("SELECT kind FROM fleet.events ORDER BY id").fetchall()]


async def apply(pool: Pool) -> None:
    await events.apply(pool, await events.claim(pool, limit=100, lease_seconds=60))


def standing(owner: psycopg.Connection) -> list[tuple[Any, ...]]:
    return owner.execute(
        "SELECT workspace_id, channel, address, reason FROM fleet.suppressions"
        " WHERE released_at IS NULL OR released_at <= created_at"
    ).fetchall()


async def test_the_link_of_a_campaigns_mail_ends_its_mails_and_nobody_elses(
    open_worker: Open, ledger: Pool, owner: psycopg.Connection, vendors: Vendors, web: Web
) -> None:
    """Sent by the worker, taken out of the mail that the vendor accepted, posted as RFC 8058 shows, applied."""
    worker = await open_worker(FLEET_PUBLIC_URL=PUBLIC_URL, FLEET_SECRET_KEY=KEY)
    workspace, campaign = uuid4(), uuid4()
    columns: dict[str, Any] = {
        "workspace_id": workspace,
        "campaign_id": campaign,
        "recipient_email": "Delivered+Person@Resend.dev",
    }
    first = insert(owner, **columns)
    await deliver(worker)
    (mail,) = await vendors.accepted()
    assert mail["headers"]["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    link = mail["headers"]["List-Unsubscribe"]
    assert (link[0], link[-1]) == ("<", ">")
    token = link[1:-1].removeprefix(PUBLIC_URL + PATH)

    assert (await web.ask(token, ONE_CLICK)).status == 200
    again, elsewhere = insert(owner, **columns), insert(owner, **{**columns, "workspace_id": uuid4()})
    other = insert(owner, **{**columns, "recipient_email": "delivered+other@resend.dev"})
    ids = await events.claim(ledger, limit=10, lease_seconds=60)
    await apply_events(worker, ids)
    await deliver(worker)

    assert [status_of(owner, id_) for id_ in (first, again, elsewhere, other)] == ["sent", "suppressed", "sent", "sent"]
    assert standing(owner) == [(workspace, "email", PERSON, "unsubscribed")]
    said = "SELECT kind, provider, message_id, campaign_id FROM fleet.events WHERE applied_at IS NOT NULL"
    assert owner.execute(said).fetchall() == [("unsubscribed", "fleet", first, campaign)]


async def test_only_campaign_mail_has_the_header_and_only_where_a_link_can_lead(
    open_worker: Open, owner: psycopg.Connection, vendors: Vendors
) -> None:
    async def headers_of(environment: dict[str, str], **columns: Any) -> dict[str, str]:
        insert(owner, **columns)
        await deliver(await open_worker(**environment))
        found: dict[str, str] = (await vendors.accepted())[-1].get("headers", {})
        return found

    complete = {"FLEET_PUBLIC_URL": PUBLIC_URL, "FLEET_SECRET_KEY": KEY}
    campaign = {"campaign_id": uuid4()}
    own = {"subject": "s", "text": "t", "headers": {"LIST-unsubscribe": "<mailto:out@acme.io>"}}

    assert set(await headers_of(complete, **campaign)) == {"List-Unsubscribe", "List-Unsubscribe-Post"}
    assert await headers_of(complete) == {}
    assert await headers_of({"FLEET_PUBLIC_URL": PUBLIC_URL}, **campaign) == {}
    assert await headers_of({"FLEET_SECRET_KEY": KEY}, **campaign) == {}
    assert await headers_of(complete, **campaign, payload=own) == own["headers"]


async def test_the_page_asks_and_changes_nothing(web: Web, owner: psycopg.Connection) -> None:
    """Scanners of mail open every link."""
    token = token_of(recipient())

    page = await web.ask(token)

    assert page.status == 200
    assert stored(owner) == []
    assert PERSON not in page.text
    assert "d…@resend.dev" in page.text
    assert page.headers["content-security-policy"].startswith("default-src 'none'; style-src 'sha256-")
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["referrer-policy"] == "no-referrer"
    assert "set-cookie" not in page.headers
    assert token not in page.text


class Outline(HTMLParser):
    """The elements of a page, and the buttons of its forms."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.buttons: list[dict[str, str | None]] = []
        self.language: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag == "html":
            self.language = dict(attrs)["lang"]
        if tag == "button":
            self.buttons.append(dict(attrs))


async def test_every_page_is_whole_and_its_button_is_what_the_door_understands(web: Web) -> None:
    token = token_of(recipient())
    for body, button in (
        (None, "List-Unsubscribe=One-Click"),
        (ONE_CLICK, "resubscribe=yes"),
        (None, "resubscribe=yes"),
        (RESUBSCRIBE, "List-Unsubscribe=One-Click"),
        (None, "List-Unsubscribe=One-Click"),
        (b"what=ever", None),
    ):
        outline = Outline()
        outline.feed((await web.ask(token, body)).text)
        assert outline.language == "en"
        assert [outline.tags.count(tag) for tag in ("title", "main", "h1", "p", "script")] == [1, 1, 1, 1, 0]
        assert [f"{one['name']}={one['value']}" for one in outline.buttons] == [button] * (button is not None)


async def test_a_recipient_goes_comes_back_and_goes_as_often_as_they_like(
    web: Web, ledger: Pool, owner: psycopg.Connection
) -> None:
    """Each word counts once however often it is said, by whichever mail's link, applied at once or all together."""
    workspace = uuid4()
    tokens = [token_of(recipient(workspace)) for _ in range(2)]
    for at_once in (True, False):
        owner.execute("TRUNCATE fleet.events, fleet.suppressions")
        words = [ONE_CLICK, ONE_CLICK, RESUBSCRIBE, RESUBSCRIBE, ONE_CLICK, RESUBSCRIBE, ONE_CLICK, ONE_CLICK]
        for number, word in enumerate(words):
            assert (await web.ask(tokens[number % 2 if number < 4 else 0], word)).status == 200
            if at_once:
                await apply(ledger)
                assert bool(standing(owner)) == (word == ONE_CLICK)
        await apply(ledger)

        assert stored(owner) == ["unsubscribed", "resubscribed"] * 2 + ["unsubscribed"]
        assert standing(owner) == [(workspace, "email", PERSON, "unsubscribed")]


async def test_who_was_released_by_a_person_may_unsubscribe_again_by_the_same_link(
    web: Web, ledger: Pool, owner: psycopg.Connection
) -> None:
    token = token_of(recipient())
    await web.ask(token, ONE_CLICK)
    await apply(ledger)
    owner.execute("UPDATE fleet.suppressions SET released_at = now()")
    assert standing(owner) == []

    await web.ask(token, ONE_CLICK)
    await apply(ledger)

    assert stored(owner) == ["unsubscribed"] * 2
    assert len(standing(owner)) == 1


async def test_a_word_counts_also_against_one_that_a_faster_clock_told(
    web: Web, ledger: Pool, owner: psycopg.Connection
) -> None:
    token = token_of(recipient())
    travel(owner, 30)
    await web.ask(token, ONE_CLICK)
    await apply(ledger)
    travel(owner, 0)

    await web.ask(token, RESUBSCRIBE)
    await apply(ledger)
    assert standing(owner) == []

    await web.ask(token, ONE_CLICK)
    await apply(ledger)
    assert len(standing(owner)) == 1


async def test_coming_back_takes_back_nothing_but_the_unsubscribing(
    web: Web, ledger: Pool, owner: psycopg.Connection
) -> None:
    who = recipient()
    owner.execute(
        "INSERT INTO fleet.suppressions (workspace_id, channel, address, reason, source)"
        " VALUES (%s, 'email', %s, 'complained', 'test')",
        (who.workspace_id, PERSON),
    )

    for word in (ONE_CLICK, RESUBSCRIBE):
        await web.ask(token_of(who), word)
    await apply(ledger)

    assert [row[3] for row in standing(owner)] == ["complained"]


async def test_the_link_works_when_its_message_is_gone(web: Web, ledger: Pool, owner: psycopg.Connection) -> None:
    who = recipient()

    await web.ask(token_of(who), ONE_CLICK)
    await apply(ledger)

    assert owner.execute("SELECT message_id, workspace_id FROM fleet.events").fetchall() == [
        (who.message_id, who.workspace_id)
    ]
    assert standing(owner) == [(who.workspace_id, "email", PERSON, "unsubscribed")]


async def test_a_message_of_another_workspace_lends_the_link_nothing(
    web: Web, ledger: Pool, owner: psycopg.Connection
) -> None:
    theirs = insert(owner, campaign_id=uuid4())
    who = recipient(message=theirs)

    await web.ask(token_of(who), ONE_CLICK)
    await apply(ledger)

    assert standing(owner) == [(who.workspace_id, "email", PERSON, "unsubscribed")]
    assert column_of(owner, theirs, "status") == "scheduled"


async def test_each_refusal_has_its_status_and_stores_nothing(web: Web, owner: psycopg.Connection) -> None:
    good = token_of(recipient())
    for token in ("x" * 30, good[:-1], good + "A", good[1:], token_of(recipient(), Links(PUBLIC_URL, ("z" * 32,)))):
        for body in (None, ONE_CLICK):
            refused = await web.ask(token, body)
            assert refused.status == 404
            assert token not in refused.text
    for body in (b"", b"List-Unsubscribe=", b"One-Click", b"\xff=\xff", b"&" * 50, b"a=b&" * 50, b"resubscribe="):
        assert (await web.ask(good, body)).status == 400
    assert (await web.ask(good, ONE_CLICK, "application/json")).status == 400
    assert (await web.ask(good, b"x" * (BODY_LIMIT_BYTES + 1), pieces=5)).status == 413
    assert stored(owner) == []


@pytest.mark.parametrize("pieces", [1, 5])
async def test_the_body_of_the_rfc_is_taken_in_both_encodings(web: Web, owner: psycopg.Connection, pieces: int) -> None:
    """RFC 8058, sections 8.1 and 8.2 (the second as it is on the wire)."""
    multipart = (
        b"--FormBoundaryjWmhtjORrn\r\n"
        b'Content-Disposition: form-data; name="List-Unsubscribe"\r\n\r\n'
        b"One-Click\r\n"
        b"--FormBoundaryjWmhtjORrn--\r\n"
    )
    bodies = {FORM: ONE_CLICK, "multipart/form-data; boundary=FormBoundaryjWmhtjORrn": multipart}

    for content_type, body in bodies.items():
        assert (await web.ask(token_of(recipient()), body, content_type, pieces)).status == 200

    assert stored(owner) == ["unsubscribed"] * 2


@hypothesis_settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    body=st.binary(max_size=300),
    content_type=st.one_of(
        st.just(FORM),
        st.builds("multipart/form-data; boundary={}".format, st.text(max_size=20)),
        st.text(max_size=60),
    ),
)
@example(b"--\r\n\r\n--", "multipart/form-data")
@example(b"\xff", "multipart/form-data; boundary=b; charset*=q")
@example(b"", "multipart/form-data; charset*0*=q''x; boundary*=%")
@example(
    b"--b\r\nContent-Disposition: form-data; name*1*=q\r\nContent-Type: text/plain; charset*=q\r\n\r\nx\r\n--b--",
    "multipart/form-data; boundary=b",
)
@example(b"--a\r\nContent-Disposition: form-data; name*=x'y'%\r\n\r\n\r\n--a--", "multipart/form-data; boundary=a")
@example(b"--a\r\nContent-Transfer-Encoding: base64\r\n\r\n=\xff\r\n--a--", "multipart/form-data; boundary=a")
async def test_no_body_breaks_the_door(web: Web, body: bytes, content_type: str) -> None:
    assert isinstance(fields_of(content_type, body), list)
    assert (await web.ask(token_of(recipient()), body, content_type)).status in {200, 400}


async def test_a_database_that_is_away_asks_to_try_again(settings: Settings, tmp_path: Any) -> None:
    away = pool(settings, f"postgresql://nobody@/nothing?host={tmp_path}&connect_timeout=1", size=1, process="test")
    away.timeout = 0.2
    await away.open()
    try:
        for body in (None, ONE_CLICK):
            refused = await Web(Desk(away, LINKS)).ask(token_of(recipient()), body)
            assert (refused.status, refused.headers["retry-after"]) == (503, "30")
    finally:
        await away.close()


def test_what_the_library_cannot_read_is_nothing() -> None:
    for body in (b"\xff", b"--b\r\n\r\n\xff"):
        for content_type in ("multipart/form-data; charset*=q", "multipart/form-data; boundary=c; charset*=q"):
            assert fields_of(content_type, body) == []


async def test_a_database_that_does_not_answer_is_not_waited_for_long(
    ledger: Pool, owner: psycopg.Connection, settings: Settings, tmp_path: Any
) -> None:
    away = pool(settings, f"postgresql://nobody@/nothing?host={tmp_path}&connect_timeout=1", size=1, process="test")
    await away.open()
    try:
        with owner.transaction():
            owner.execute("LOCK TABLE fleet.events")
            for database in (away, ledger):
                impatient = Web(Desk(database, LINKS, patience_seconds=0.3))
                for body in (None, ONE_CLICK):
                    assert (await impatient.ask(token_of(recipient()), body)).status == 503
    finally:
        await away.close()
    assert PATIENCE_SECONDS <= 5


async def test_a_body_that_does_not_come_is_not_waited_for(ledger: Pool) -> None:
    slow = Web(Desk(ledger, LINKS, uploads=Uploads(body_seconds=0.05)))
    assert (await slow.ask(token_of(recipient()), ONE_CLICK, pieces=4, stalls=True)).status == 408
