"""X-Twilio-Signature: which requests are Twilio's.

Source: twilio.com/docs/usage/security (HMAC-SHA1 under the auth token over the URL up to the end of its query, followed
by every POST parameter, sorted; for JSON the body's SHA-256 stands in the query as bodySHA256). It is over the public
URL, as Twilio was given it. Refuses to read what is signed.
"""

import base64
import hashlib
import hmac
import re

from providers.callbacks import BadSignature, Callback, Malformed
from providers.twilio import parameters

RETRIES = "#rc=5&rp=all"
"""Put behind every address that Twilio is given (twilio.com/docs/usage/webhooks/webhooks-connection-overrides): its
default is one more try, and only where no connection came about; all tries together take 15 s at most."""

SIGNATURE_LENGTH = 28
"""Characters of a SHA-1 in base64."""

_URL = re.compile(r"(https?)://([^/?#]+?)(?::([0-9]{1,5}))?((?:[/?#].*)?)", re.DOTALL | re.IGNORECASE)
_PORTS = {"https": "443", "http": "80"}


def verify(callback: Callback, auth_token: str) -> None:
    """Check the signature. Raises BadSignature, also without a token, and Malformed.

    Takes the same time for every wrong signature. What is not signed at all is not parsed.
    """
    if not auth_token:  # everybody could sign with none
        raise BadSignature("the account has no auth token")
    given = callback.headers.get("x-twilio-signature", "").encode("utf-8", "replace")
    if len(given) != SIGNATURE_LENGTH:
        raise BadSignature("X-Twilio-Signature is none")
    signed = _signed_parameters(callback)
    # The first form fits nearly always; a wrong signature is compared with all of them.
    if not any(hmac.compare_digest(given, signature(auth_token, url, signed)) for url in _urls(callback.url)):
        raise BadSignature("X-Twilio-Signature does not fit")


def signature(auth_token: str, url: str, signed: str) -> bytes:
    """Return what Twilio signs with: base64 of HMAC-SHA1 over the URL and the parameters that follow it."""
    text = (url + signed).encode("utf-8", "surrogatepass")
    return base64.b64encode(hmac.new(auth_token.encode(), text, hashlib.sha1).digest())


def _signed_parameters(callback: Callback) -> str:
    """Return what follows the URL in the signed text; a JSON body is bound to the URL by its digest instead."""
    if not parameters.is_json(callback):
        return "".join(name + value for name, value in sorted(set(parameters.form(callback.body))))
    digest = hashlib.sha256(callback.body).hexdigest().encode()
    if not hmac.compare_digest(digest, callback.query.get("bodySHA256", "").lower().encode("utf-8", "replace")):
        raise BadSignature("bodySHA256 is not the body's")
    return ""


def _urls(url: str) -> list[str]:
    """Return the forms of our address that Twilio may have signed: with and without the scheme's usual port.

    Each also with the fragment that we gave it: whether that is signed is not documented. Nothing else of the address
    is rewritten: a parser would mend what was changed on its way.
    """
    found = _URL.fullmatch(url)
    if found is None:
        raise Malformed("the address of the request is none")
    scheme, host, port, rest = found.groups()
    forms = dict.fromkeys(
        (url, f"{scheme}://{host}{rest}", f"{scheme}://{host}:{port or _PORTS[scheme.lower()]}{rest}")
    )
    return [form + fragment for form in forms for fragment in ("", RETRIES)]
