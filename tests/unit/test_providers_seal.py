"""Sealed credentials: they open for their tenant under any key of the ring, and for nobody else in no other way."""

import base64
from uuid import UUID, uuid4

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from config.seal import Keyring, SealBroken

OLD, NEW = b"o" * 32, b"n" * 32
RING = Keyring({"new": NEW, "old": OLD})
TENANT = UUID(int=7)

key_ids = st.text("abcXYZ019", min_size=1, max_size=32)
keys = st.binary(min_size=32, max_size=32)
rings = st.dictionaries(key_ids, keys, min_size=1, max_size=4).map(Keyring)


def written(ring: Keyring) -> str:
    """The ring as the environment holds it."""
    return ",".join(f"{key_id}:{base64.b64encode(key).decode()}" for key_id, key in ring.keys.items())


@settings(deadline=None)
@given(ring=rings, plain=st.text(), tenant=st.uuids())
def test_what_is_sealed_opens_for_its_tenant_and_does_not_show(ring: Keyring, plain: str, tenant: UUID) -> None:
    sealed = ring.seal(plain, tenant)
    assert ring.open(sealed, tenant) == plain
    assert sealed.startswith(f"v1.{next(iter(ring.keys))}.")
    assert len(plain) < 4 or plain not in sealed
    assert sealed != ring.seal(plain, tenant), "the same secret twice does not look the same"


@settings(deadline=None)
@given(plain=st.text(), other=st.uuids())
def test_a_value_that_was_copied_to_another_tenants_row_does_not_open(plain: str, other: UUID) -> None:
    assume(other != TENANT)
    with pytest.raises(SealBroken, match="another tenant"):
        RING.open(RING.seal(plain, TENANT), other)


@settings(deadline=None)
@given(st.data())
def test_no_damaged_value_opens(data: st.DataObject) -> None:
    sealed = RING.seal("re_secret", TENANT)
    head, _, encoded = sealed.rpartition(".")
    raw = bytearray(base64.b64decode(encoded))
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] ^= data.draw(st.integers(1, 255))
    length = data.draw(st.integers(0, len(raw)) | st.just(len(raw)))
    with pytest.raises(SealBroken) as broken:
        RING.open(f"{head}.{base64.b64encode(bytes(raw[:length])).decode()}", TENANT)
    assert "re_secret" not in str(broken.value)


@settings(deadline=None)
@given(st.text())
def test_what_begins_as_sealed_and_is_not_is_an_error_and_all_else_is_plain(text: str) -> None:
    with pytest.raises(SealBroken):
        RING.open(f"v1.{text}", TENANT)
    assume(not text.startswith("v1."))
    assert RING.open(text, TENANT) == text


def test_a_token_that_looks_sealed_is_not_shown() -> None:
    for token in ("v1.SECRETTOKEN", "v1.", "v1." + "S" * 40 + ".x", "v1.SECRET-TOKEN.x"):
        with pytest.raises(SealBroken) as broken:
            RING.open(token, TENANT)
        assert "SECRET" not in str(broken.value)
        assert "SSSS" not in str(broken.value)


def test_a_rotated_key_still_opens_and_only_the_newest_seals() -> None:
    before = Keyring({"old": OLD}).seal("re_secret", TENANT)
    assert RING.open(before, TENANT) == "re_secret"
    after = RING.seal("re_secret", TENANT)
    assert after.startswith("v1.new.")
    with pytest.raises(SealBroken, match="the key 'new' is not in FLEET_ENCRYPTION_KEYS"):
        Keyring({"old": OLD}).open(after, TENANT)


def test_a_key_under_another_id_does_not_open() -> None:
    sealed = Keyring({"one": OLD}).seal("re_secret", TENANT)
    with pytest.raises(SealBroken):
        Keyring({"two": OLD}).open(sealed.replace("v1.one.", "v1.two."), TENANT)


def test_without_keys_nothing_is_sealed_and_what_is_plain_is_read() -> None:
    ring = Keyring.parse("")
    assert ring.open("re_legacy", TENANT) == "re_legacy"
    with pytest.raises(SealBroken, match="FLEET_ENCRYPTION_KEYS is not set"):
        ring.seal("re_secret", TENANT)


@settings(deadline=None)
@given(rings)
def test_a_ring_reads_as_it_is_written_newest_first(ring: Keyring) -> None:
    parsed = Keyring.parse(f" {written(ring)} ,")
    assert list(parsed.keys.items()) == list(ring.keys.items())


GOOD = base64.b64encode(OLD).decode()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (GOOD, "id:base64"),
        (OLD.hex(), "id:base64"),
        (f":{GOOD}", "id:base64"),
        (f"a.b:{GOOD}", "id:base64"),
        (f"ü:{GOOD}", "id:base64"),
        (f"{'a' * 33}:{GOOD}", "id:base64"),
        (f"a:{GOOD},a:{GOOD}", "two keys"),
        ("a:not base64", "not base64"),
        ("a:grüße", "not base64"),
        ("a:" + base64.b64encode(b"short").decode(), "5 bytes"),
        ("a:", "0 bytes"),
    ],
)
def test_keys_that_cannot_be_used_are_refused_unseen(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem) as refused:
        Keyring.parse(text)
    assert GOOD not in str(refused.value)
    assert OLD.hex() not in str(refused.value)


def test_a_ring_shows_no_key() -> None:
    assert "ooo" not in repr(RING) + str(RING)
    assert RING.open(RING.seal("x", tenant := uuid4()), tenant) == "x"
