"""Log lines: what identifies a person or opens a door never stands in one, whichever way it came in."""

import json
import subprocess
import sys
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.log import mask, mask_fields

# What a process of the fleet and the libraries in it may do to a log, one line each.
SCRIPT = """
import logging, sys, threading
from uuid import UUID
from config import log

log.configure(sys.argv[1], sys.argv[2], process="sms", worker="one")
ours, theirs = log.get("ours"), logging.getLogger("theirs")

def fail():
    try:
        raise ValueError("no route to ada.lovelace@mail.io, +14155550100, redis://:hunter2@cache")
    except ValueError as error:
        return error

ours.info("sent", message_id=UUID(int=7), count=3, rate=0.5, ok=True, nothing=None)
ours.info("refused %s", "ada.lovelace@mail.io")
ours.warning("nested", problems=[{"to": "+14155550100"}, ("ada.lovelace@mail.io",)], error=fail())
ours.info("odd", broken="\\ud800", huge=2**70, keys={7: "x"}, data=b"ada.lovelace@mail.io")
theirs.warning("calling %s", "+14155550100")
theirs.warning("extra", extra={"recipient": "ada.lovelace@mail.io"})
for logger in (ours, theirs):
    try:
        raise RuntimeError("outer") from fail()
    except RuntimeError:
        logger.exception("crashed")
threads = [threading.Thread(target=ours.info, args=("threaded",), kwargs={"number": n}) for n in range(20)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
for name in ("aiohttp.access", "psycopg.pool", "dramatiq.broker"):
    logging.getLogger(name).info("chatty")
ours.debug("too quiet")
print("nothing else on standard output")
"""


def run(form: str, level: str = "info") -> str:
    """What a process writes to its log."""
    command = [sys.executable, "-W", "error", "-c", SCRIPT, level, form]
    finished = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert finished.stdout == "nothing else on standard output\n"
    return finished.stderr


@pytest.fixture(scope="module")
def lines() -> list[dict[str, Any]]:
    """The log as JSON: each line is one object."""
    return [json.loads(line) for line in run("json").splitlines()]


def of(lines: list[dict[str, Any]], event: str) -> list[dict[str, Any]]:
    return [line for line in lines if line["event"].startswith(event)]


def test_a_line_is_an_object_with_its_process_its_time_and_its_fields(lines: list[dict[str, Any]]) -> None:
    (sent,) = of(lines, "sent")
    assert sent.pop("ts").endswith("Z")
    assert sent == {
        "event": "sent",
        "level": "info",
        "process": "sms",
        "worker": "one",
        "message_id": "00000000-0000-0000-0000-000000000007",
        "count": 3,
        "rate": 0.5,
        "ok": True,
        "nothing": None,
    }


def test_every_line_says_which_process_wrote_it_from_any_thread_and_library(lines: list[dict[str, Any]]) -> None:
    assert {(line["process"], line["worker"]) for line in lines} == {("sms", "one")}
    assert {line["number"] for line in of(lines, "threaded")} == set(range(20))


def test_no_line_shows_an_address_a_number_or_a_password(lines: list[dict[str, Any]]) -> None:
    for shown in (json.dumps(lines, ensure_ascii=False), run("console")):
        for secret in ("lovelace", "1415555", "hunter2"):
            assert secret not in shown
        assert shown.count("a…@mail.io") >= 5
        assert shown.count("…100") >= 4


def test_an_exception_is_masked_with_its_cause_ours_and_a_librarys(lines: list[dict[str, Any]]) -> None:
    crashed = of(lines, "crashed")
    assert len(crashed) == 2
    for line in crashed:
        assert "RuntimeError: outer" in line["exception"]
        assert "ValueError: no route to a…@mail.io, …100, redis://:…@cache" in line["exception"]


def test_what_stands_inside_of_a_field_is_masked(lines: list[dict[str, Any]]) -> None:
    (nested,) = of(lines, "nested")
    assert nested["problems"] == [{"to": "…100"}, ["a…@mail.io"]]
    assert nested["error"] == "no route to a…@mail.io, …100, redis://:…@cache"
    (extra,) = of(lines, "extra")
    assert extra["recipient"] == "a…@mail.io"


def test_no_value_can_break_a_line(lines: list[dict[str, Any]]) -> None:
    (odd,) = of(lines, "odd")
    assert (odd["broken"], odd["huge"], odd["keys"]) == ("\ud800", 2**70, {"7": "x"})


def test_what_is_below_the_level_or_only_chatter_is_left_out(lines: list[dict[str, Any]]) -> None:
    assert of(lines, "too quiet") == of(lines, "chatty") == []
    assert len(of([json.loads(line) for line in run("json", "error").splitlines()], "")) == 2


def test_a_form_for_people_says_the_same() -> None:
    shown = run("console")
    for word in ("sent", "threaded", "process", "RuntimeError: outer", "calling …100"):
        assert word in shown


# Around an address stands what a sentence, a header or a URL puts there.
openings = st.sampled_from(["", " ", "<", "'", '"', "(", "to=", "mailto:", "[", "=", ", "])
closings = st.sampled_from(["", " ", ">", "'", '"', ")", ".", ",", ": refused", "\n", "]", "&x=1"])
letters = st.characters(categories=["Ll", "Lu", "Nd"])
locals_ = st.text(letters | st.sampled_from("._%+-!#$&'*=?^`{|}~"), min_size=2, max_size=63).map(
    lambda text: f"Q{text}"
)
unicode_addresses = st.tuples(locals_, st.sampled_from(["bücher.de", "mail.io", "intranet", "xn--d1a.xn--p1ai"]))


@settings(deadline=None)
@given(opening=openings, address=st.emails(), closing=closings, times=st.integers(1, 3))
def test_an_address_keeps_one_letter_at_most(opening: str, address: str, closing: str, times: int) -> None:
    local, _, domain = address.rpartition("@")
    shown = mask(" ".join([opening + address + closing] * times))
    assert f"@{domain}" in shown
    assert len(local) < 3 or local not in shown
    assert address not in shown or len(local) == 1


@settings(deadline=None)
@given(opening=openings, address=unicode_addresses, closing=closings)
def test_an_address_in_any_script_keeps_no_two_letters(opening: str, address: tuple[str, str], closing: str) -> None:
    local, domain = address
    shown = mask(f"{opening}{local}@{domain}{closing}")
    assert local[:2] not in shown.replace(opening, "", 1)
    assert f"…@{domain}" in shown


@settings(deadline=None)
@given(opening=openings, digits=st.text("0123456789", min_size=7, max_size=15), closing=closings)
def test_a_number_keeps_its_last_three_digits(opening: str, digits: str, closing: str) -> None:
    assert mask(f"{opening}+{digits}{closing}") == f"{opening}…{digits[-3:]}{closing}"
    assert mask(f"{opening}%2B{digits}{closing}") == f"{opening}…{digits[-3:]}{closing}"


@settings(deadline=None)
@given(
    user=st.text(letters, max_size=8), password=st.text(letters | st.sampled_from("/:@!?#"), min_size=1, max_size=12)
)
def test_a_password_in_a_url_is_gone_whatever_it_holds(user: str, password: str) -> None:
    shown = mask(f"cannot reach postgresql://{user}:Zq9w{password}@db.internal:5432/fleet")
    assert "Zq9w" not in shown
    assert shown.endswith("@db.internal:5432/fleet")


@pytest.mark.parametrize(
    "text",
    [
        *("sent 100 messages in 3 s", "2030-05-01T10:00:00+00:00", "key=5e4d0000-0000-4000-8000-000000000000"),
        *("postgresql:///fleet?host=/tmp/x", "http://127.0.0.1:4900/emails", "a @ b", "@app.route", "1+1=2", ""),
    ],
)
def test_what_identifies_nobody_is_left_alone(text: str) -> None:
    assert mask(text) == text


def test_masking_twice_changes_nothing_more() -> None:
    once = mask("ada@mail.io +14155550100 redis://ada:x@cache")
    assert mask(once) == once


MEBIBYTE = 2**20


@pytest.mark.parametrize(
    "piece",
    [
        *(
            "://a:",
            "://",
            "://a",
            "+1",
            "+",
            "%2B",
            "%2B1",
            "a.",
            "a",
            "a@",
            "@",
            "%40",
            "a%40",
            "a%40b@",
            "@a.",
            "/'…",
        ),
        *("://a:b@", "+1234567", "a ", "a@ ", "://a:@ ", "1", ".", "é@", "a%4"),
    ],
)
def test_a_hostile_text_is_masked_in_time_that_grows_with_it(piece: str) -> None:
    hostile = piece * (MEBIBYTE // len(piece))
    started = time.process_time()
    for text in (hostile, hostile + "@", hostile + "@mail.io"):
        mask(text)
    assert time.process_time() - started < 10, "three texts of 1 MiB; squared it would be minutes"


@pytest.mark.parametrize("name", ["a" * 200, "ada" + "." * 100 + "lovelace", "ada%40lovelace", "a/b'c"])
def test_a_name_is_hidden_however_long_it_is(name: str) -> None:
    assert mask(f"to {name}@mail.io now") == "to a…@mail.io now"


def test_a_password_is_hidden_however_long_it_is() -> None:
    assert mask(f"at redis://ada:{'x@:/' * 500}@cache/0 now") == "at redis://ada:…@cache/0 now"


def test_fields_of_structlog_itself_stay_what_they_are() -> None:
    marker = object()
    assert mask_fields(None, "info", {"_record": marker, "event": "ada@mail.io"}) == {
        "_record": marker,
        "event": "a…@mail.io",
    }
