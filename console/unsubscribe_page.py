"""The page behind an unsubscribe link: a sentence, and a button or none.

Owns its words and its headers. No script, no cookie, nothing from elsewhere; it reads the same with and without styles.
Whose link it is shows in part only: the mail may have been passed on.
"""

import hashlib
from base64 import b64encode
from collections.abc import Mapping
from html import escape
from string import Template

from starlette.responses import HTMLResponse

ONE_CLICK = ("List-Unsubscribe", "One-Click")
"""What RFC 8058 has a mail program post; our own button posts the same."""
RESUBSCRIBE = ("resubscribe", "yes")

_STYLE = """
:root { color-scheme: light dark; font: 1.0625rem/1.5 system-ui, sans-serif; }
main { max-width: 34rem; margin: 12vh auto; padding: 0 1.25rem; }
h1 { font-size: 1.5rem; }
button { font: inherit; padding: .6rem 1.1rem; border: 2px solid; border-radius: .4rem; cursor: pointer; }
button:focus-visible { outline: 3px solid; outline-offset: 3px; }
"""
_PAGE = Template(
    """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>$title</title>
<style>$style</style>
</head>
<body>
<main>
<h1>$title</h1>
<p>$sentence</p>
$form</main>
</body>
</html>
"""
)
_FORM = Template("""<form method="post"><button name="$name" value="$value">$label</button></form>
""")
_STYLE_HASH = b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'; base-uri 'none';"
        " frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
}


def question(shown: str) -> HTMLResponse:
    """Ask whether the recipient, shown in part, wants nothing more."""
    sentence = f"Should we stop writing to {shown}? Nothing changes until you press the button."
    return _page(200, "Unsubscribe", sentence, (*ONE_CLICK, "Unsubscribe"))


def unsubscribed(shown: str) -> HTMLResponse:
    """Say that it is done, and how it is undone."""
    sentence = f"{shown} is unsubscribed and gets no more of these messages."
    return _page(200, "You are unsubscribed", sentence, (*RESUBSCRIBE, "Subscribe again"))


def subscribed(shown: str) -> HTMLResponse:
    """Say that the unsubscribing is taken back."""
    return _page(200, "You are subscribed again", f"{shown} gets these messages again.", (*ONE_CLICK, "Unsubscribe"))


def refusal(status: int, title: str, sentence: str, **headers: str) -> HTMLResponse:
    """Say what is wrong, with the status that goes with it."""
    page = _page(status, title, sentence, None)
    page.headers.update({name.replace("_", "-"): value for name, value in headers.items()})
    return page


def _page(status: int, title: str, sentence: str, button: tuple[str, str, str] | None) -> HTMLResponse:
    form = _FORM.substitute(dict(zip(("name", "value", "label"), button, strict=True))) if button else ""
    html = _PAGE.substitute(title=escape(title), style=_STYLE, sentence=escape(sentence), form=form)
    return HTMLResponse(html, status, headers=_HEADERS)
