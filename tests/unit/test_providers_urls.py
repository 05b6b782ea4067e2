"""Which addresses a customer may hand to a vendor, and which belong to this machine."""

import ipaddress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from providers.base import Rejected
from providers.urls import is_loopback, public_https

SENTENCES = (
    "payload.path must be an https:// address in ASCII, without user or password",
    "payload.path must be reachable from the internet",
)


@pytest.mark.parametrize(
    "url",
    [
        "https://cdn.acme.io/a.png",
        "https://cdn.acme.io:8443/a%20b.png?x=1&y=2#part",
        "https://CDN.acme.io",
        "https://xn--bcher-kva.example.xn--p1ai/a",
        "https://my_bucket.s3.acme.io./a",
        "https://93.184.216.34/a.png",
        "https://[2606:2800:220:1:248:1893:25c8:1946]/a.png",
    ],
)
def test_a_public_address_is_passed_on_as_it_stands(url: str) -> None:
    assert public_https(url, "audio_url") == url


@pytest.mark.parametrize(
    "url",
    [
        *(None, 7, [], "", "acme.io/a.png", "//cdn.acme.io/a.png", "https://", "https:///a", "https:cdn.acme.io"),
        *("http://cdn.acme.io/a.png", "ftp://cdn.acme.io/a", "file:///etc/passwd", "javascript:alert(1)", "data:,x"),
        # Two parsers may read two hosts.
        *("https://cdn.acme.io\\@10.0.0.1/", "https://10.0.0.1\\.acme.io/", "https://cdn.acme.io /a"),
        *("https://cdn.acme.io/a\nb", "https://cdn.acme.io\t/a", " https://cdn.acme.io/a", "https://bücher.example/a"),
        *("https://ada:secret@cdn.acme.io/", "https://ada@cdn.acme.io/", "https://cdn.acme.io:0/"),
        *("https://cdn.acme.io:port/", "https://cdn.acme.io:99999/", "https://[::1/", "https://[cdn.acme.io]/"),
    ],
)
def test_what_is_no_plain_https_address_is_refused(url: object) -> None:
    with pytest.raises(Rejected, match=r"payload\.audio_url must be an https:// address") as refused:
        public_https(url, "audio_url")
    assert refused.value.code == "invalid_url"


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "localhost.", "LOCALHOST", "db", "db.localhost", "printer.local", "localhost.localdomain"),
        *("metadata.google.internal", "127.0.0.1", "127.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1"),
        *("0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "224.0.0.1"),
        *("[::1]", "[::]", "[fe80::1]", "[fe80::1%25eth0]", "[fc00::1]", "[ff02::1]", "[::ffff:10.0.0.1]"),
        *("%31%32%37.0.0.1", "acme..io", ".acme.io", "1.2.3.4.5", "acme.io,10.0.0.1"),
    ],
)
def test_what_the_internet_does_not_reach_is_refused(host: str) -> None:
    with pytest.raises(Rejected, match=r"payload\.media_urls must be reachable from the internet"):
        public_https(f"https://{host}/a.png", "media_urls")


@settings(deadline=None)
@given(st.ip_addresses())
def test_every_numeric_address_is_judged_by_its_range(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    host = f"[{address}]" if address.version == 6 else str(address)
    if address.is_global and not address.is_multicast:
        assert public_https(f"https://{host}/", "path")
    else:
        with pytest.raises(Rejected):
            public_https(f"https://{host}/", "path")


def judged_by_form(text: str) -> str:
    """The address itself, or the sentence that says why not."""
    try:
        return public_https(text, "path")
    except Rejected as refused:
        return refused.reason


@settings(deadline=None)
@given(st.text(max_size=30) | st.from_regex(r"https://[\x20-\x7e]{0,20}", fullmatch=True))
def test_no_text_breaks_the_check_and_no_sentence_shows_it(text: str) -> None:
    assert judged_by_form(text) in {text, *SENTENCES}


@pytest.mark.parametrize(
    "url",
    [
        *(
            "http://127.0.0.1:4900",
            "http://127.8.9.10",
            "http://[::1]:4900",
            "https://localhost/x",
            "http://LOCALHOST.",
        ),
        "http://localhost:80/",
    ],
)
def test_this_machine_is_loopback(url: str) -> None:
    assert is_loopback(url)


@pytest.mark.parametrize(
    "url",
    [
        *("https://api.resend.com", "http://10.0.0.1", "http://0.0.0.0", "http://localhost.acme.io", ""),
        *("http://127.0.0.1.acme.io", "http://localhost:80@acme.io", "http://acme.io/127.0.0.1"),
    ],
)
def test_another_machine_is_not(url: str) -> None:
    assert not is_loopback(url)
