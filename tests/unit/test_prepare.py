"""From the rows of a bundle to groups: who shares a request, and what a row that breaks our code does."""

from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest

from admission.unsubscribe import Links
from config.channels import Channel
from outbox.addresses import Allowed
from outbox.starts import Claimed
from providers.base import PROVIDER_WIDE
from tests.vendors import PROVIDERS, account_of
from workers.prepare import REQUEST_LIMIT_BYTES, Preparation, Rendering

TENANT = UUID(int=7)


def row(payload: Any = None, *, alone: bool = False, address: str = "ada@mail.io") -> Claimed:
    content = orjson.dumps(mail() if payload is None else payload).decode()
    return Claimed(uuid4(), TENANT, TENANT, "resend", address, content, True, "1", 0, alone, 0, None)


def prepared(*rows: Claimed) -> Preparation:
    result = Preparation()
    accounts = {TENANT: account_of("resend", **{"from": "us@acme.io"})}
    rendering = Rendering(
        Channel.EMAIL, PROVIDERS["resend"], accounts, result, allowed=Allowed(()), links=Links(None, ())
    )
    for one in rows:
        rendering.add(one)
    return result


def mail(**fields: Any) -> dict[str, Any]:
    return {"subject": "Hello", "text": "Hello", **fields}


def members(result: Preparation) -> list[list[UUID]]:
    return [[member.row.id for member in group.members] for group in result.groups]


def test_a_bundle_is_one_group_of_its_account() -> None:
    rows = [row() for _ in range(100)]
    result = prepared(*rows)
    assert members(result) == [[one.id for one in rows]]
    assert result.groups[0].account.tenant_id == PROVIDER_WIDE


def test_a_group_takes_no_more_than_its_vendor() -> None:
    assert [len(group) for group in members(prepared(*(row() for _ in range(101))))] == [100, 1]


def test_a_sender_in_the_payload_shares_a_request_with_its_like_only() -> None:
    ada, eve, ours = (row(mail(**{"from": sender})) for sender in ("ada@acme.io", "eve@evil.io", "us@acme.io"))
    plain, ada_again = row(), row(mail(**{"from": "ada@acme.io"}))
    result = prepared(ada, plain, eve, ours, ada_again)
    assert members(result) == [[ada.id, ada_again.id], [plain.id, ours.id], [eve.id]]


def test_each_mail_names_the_send_key_of_the_group_that_it_travels_in() -> None:
    kinds = (row(), row(mail(**{"from": "ada@acme.io"})), row(alone=True), row(mail(text="x" * 1_000_000)))
    for group in prepared(*kinds, *kinds).groups:
        for member in group.members:
            tags = {tag["name"]: tag["value"] for tag in orjson.loads(member.part.body)["tags"]}
            assert tags["send_key"] == str(group.send_key)


def test_a_request_is_no_larger_than_can_be_sent_in_its_time() -> None:
    result = prepared(*(row(mail(text="x" * 1_000_000)) for _ in range(10)), row())
    sizes = [sum(len(member.part.body) for member in group.members) for group in result.groups]
    assert [group.size_bytes for group in result.groups] == sizes
    assert max(sizes) <= REQUEST_LIMIT_BYTES
    assert len(sizes) == 3


def test_what_travels_alone_leaves_the_others_together() -> None:
    first, alone, last = row(), row(alone=True), row()
    attached = row(mail(attachments=[{"filename": "a.txt", "content": "SGVsbG8="}]))
    assert members(prepared(first, alone, attached, last)) == [[first.id, last.id], [alone.id], [attached.id]]


@pytest.mark.parametrize("error", [RecursionError, KeyError("secret@mail.io"), ZeroDivisionError])
def test_a_message_that_our_code_fails_on_is_refused_and_stops_nobody(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: type[Exception] | Exception
) -> None:
    bad, fine = row(mail(text="poison")), row()
    render = PROVIDERS["resend"].render

    def breaks(message: Any, account: Any) -> Any:
        if message.payload["text"] == "poison":
            raise error
        return render(message, account)

    monkeypatch.setattr(PROVIDERS["resend"], "render", breaks)
    result = prepared(bad, fine)

    assert members(result) == [[fine.id]]
    ((refused, why),) = result.rejected
    assert (refused.id, why.code) == (bad.id, "unrenderable")
    assert "secret" not in why.reason + caplog.text
    assert "poison" not in why.reason + caplog.text
