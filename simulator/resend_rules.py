"""What Resend asks of one mail, and the refusal for each way to miss it.

Owns the checks, written from the vendor's OpenAPI file (1.5.0, schema SendEmailRequest) and its pages on errors,
batches, attachments, tags and test addresses. Stricter than the vendor in one way: a key that it does not know is
refused, not ignored. Refuses to accept anything: that is `simulator.resend`.
"""

import re
from typing import Any

from simulator.addresses import bare_mail_address
from simulator.marks import REJECTED, mark_of
from simulator.vendor import Refusal, unknown_keys

MOST_RECIPIENTS = 50
MOST_TAGS = 75
MOST_MAILS = 100

_TEXTS = ("from", "subject", "html", "text", "scheduled_at", "topic_id")
_ADDRESSES = ("to", "cc", "bcc", "reply_to")
_KINDS: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys(_TEXTS, str),
    **dict.fromkeys(_ADDRESSES, (str, list)),
    "template": dict,
    "headers": dict,
    "attachments": list,
    "tags": list,
}
_REQUIRED = ("from", "to", "subject")
_ATTACHMENT_KEYS = ("content", "filename", "path", "content_type", "content_id")
_TAG = re.compile(r"[A-Za-z0-9_-]{1,256}")
_REFUSED_DOMAINS = ("@example.com", "@test.com")


def invalid(message: str) -> Refusal:
    """Return the refusal that most mistakes get."""
    return Refusal(422, "validation_error", message)


def check_mail(mail: Any, *, in_batch: bool) -> None:
    """Check one mail as `POST /emails` or an item of `POST /emails/batch`. Raises Refusal with the first mistake."""
    _check_shape(mail, in_batch=in_batch)
    _check_sender(mail["from"])
    _check_recipients(mail)
    _check_content(mail)
    _check_tags(mail.get("tags", []))
    _check_attachments(mail.get("attachments", []))
    if not all(isinstance(value, str) for value in mail.get("headers", {}).values()):
        raise invalid("The `headers` field must hold strings only.")


def addresses_of(value: str | list[str]) -> list[str]:
    """Return one address or many as a list, as Resend answers them."""
    return [value] if isinstance(value, str) else value


def _check_shape(mail: Any, *, in_batch: bool) -> None:
    if not isinstance(mail, dict):
        raise invalid("An email must be an object.")
    strangers = unknown_keys(mail, _KINDS)
    if strangers:
        raise invalid(f"The `{strangers[0]}` field is not known.")
    for key in _REQUIRED:
        if key not in mail:
            raise Refusal(422, "missing_required_field", f"Missing `{key}` field.")
    for key, value in mail.items():
        if not isinstance(value, _KINDS[key]):
            raise invalid(f"The `{key}` field has the wrong type.")
    for key in ("attachments", "scheduled_at"):
        if in_batch and key in mail:
            raise invalid(f"The `{key}` field is not supported in a batch.")


def _check_sender(sender: str) -> None:
    address = bare_mail_address(sender)
    if address is None:
        raise Refusal(422, "invalid_from_address", "Invalid `from` field: write ada@acme.io or Ada <ada@acme.io>.")
    if address.partition("@")[2].startswith("unverified."):
        raise Refusal(403, "validation_error", "The domain of the `from` field is not verified.")


def _check_recipients(mail: dict[str, Any]) -> None:
    for key in _ADDRESSES:
        addresses = addresses_of(mail.get(key, []))
        if not all(isinstance(address, str) for address in addresses):
            raise invalid(f"The `{key}` field must hold strings only.")
        for address in addresses:
            _check_recipient(key, bare_mail_address(address))
    if not 1 <= len(addresses_of(mail["to"])) <= MOST_RECIPIENTS:
        raise invalid(f"The `to` field takes 1 to {MOST_RECIPIENTS} addresses.")


def _check_recipient(key: str, address: str | None) -> None:
    if address is None:
        raise invalid(f"Invalid `{key}` field: write ada@acme.io or Ada <ada@acme.io>.")
    if address.lower().endswith(_REFUSED_DOMAINS):
        raise invalid(f"Invalid `{key}` field: use the addresses of resend.dev for tests.")
    if mark_of(address) == REJECTED:
        raise invalid(f"Invalid `{key}` field: this address is marked to be rejected.")


def _check_content(mail: dict[str, Any]) -> None:
    written = "html" in mail or "text" in mail
    template = mail.get("template")
    if template is None and not written:
        raise Refusal(422, "missing_required_field", "Missing `html` or `text` field.")
    if template is None:
        return
    if written:
        raise invalid("A `template` goes without `html` and `text`.")
    if unknown_keys(template, ("id", "variables")) or not isinstance(template.get("id"), str):
        raise invalid("The `template` field takes an `id` and `variables`.")
    variables = template.get("variables", {})
    if not isinstance(variables, dict) or not all(type(value) in (str, int, float) for value in variables.values()):
        raise invalid("The `variables` of a template are strings and numbers.")


def _check_tags(tags: list[Any]) -> None:
    if len(tags) > MOST_TAGS:
        raise invalid(f"The `tags` field takes at most {MOST_TAGS} tags.")
    for tag in tags:
        if not isinstance(tag, dict) or tag.keys() != {"name", "value"}:
            raise invalid("A tag has a `name` and a `value`.")
        for part in tag.values():
            if not isinstance(part, str) or not _TAG.fullmatch(part):
                raise invalid("Tags take 1 to 256 ASCII letters, digits, underscores and dashes.")


def _check_attachments(attachments: list[Any]) -> None:
    for attachment in attachments:
        usable = (
            isinstance(attachment, dict)
            and not unknown_keys(attachment, _ATTACHMENT_KEYS)
            and all(isinstance(value, str) for value in attachment.values())
            and ("content" in attachment) != ("path" in attachment)
        )
        if not usable:
            raise Refusal(422, "invalid_attachment", "An attachment has either `content` or a `path`.")
