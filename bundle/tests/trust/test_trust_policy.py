"""Whom a site trusts over the years: keys that change, expire and are stolen, and clocks that are wrong."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploybundle import trust
from deploybundle.trust import KeySet, Statement, Trust, Vendor, VendorKey, canonical

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def said(time: str) -> Statement:
    return Statement("collector 1.0.0", time, "deployctl")


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> list[trust.PublicKey]:
    folder = tmp_path_factory.mktemp("keys")
    return [trust.generate(folder / name, None, "ed25519") for name in ("current", "next", "other")]


def trusting(*keys: VendorKey, version: int = 1, **more: object) -> Trust:
    return Trust((Vendor("vendor", KeySet(version, keys)),), **more)  # type: ignore[arg-type]


def test_a_key_set_is_read_back_in_its_one_spelling_only(keys: list[trust.PublicKey]) -> None:
    made = KeySet(3, (VendorKey(keys[0], date(2028, 12, 31)), VendorKey(keys[1])), {keys[2].fingerprint: "lost"})
    assert trust.read_keyset(made.dumps(), "here") == made
    with pytest.raises(trust.KeySetInvalid, match="here: is no key set"):
        trust.read_keyset(made.dumps() + b" ", "here")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"schema": 2}, "schema 2, expected 1"),
        ({"version": 0}, "version 0, expected 1"),
        ({"version": True}, "version True"),
        ({"keys": []}, "0 keys"),
        ({"keys": [{"key": "ssh-rsa AAAA", "expires": None}]}, "not a public key"),
        ({"revoked": [{"fingerprint": "SHA256:x", "reason": ""}]}, "is no fingerprint"),
        ({"revoked": [{"fingerprint": "SHA256:" + "A" * 43, "reason": "a\nb"}]}, "printable"),
        ({"more": 1}, "one spelling"),
    ],
)
def test_what_is_no_key_set_says_why(keys: list[trust.PublicKey], change: dict[str, object], says: str) -> None:
    value = {**json.loads(KeySet(1, (VendorKey(keys[0]),)).dumps()), **change}
    with pytest.raises(trust.KeySetInvalid, match=says):
        trust.read_keyset(canonical.dumps(value), "keyset.json")


WORDS = st.sampled_from(["schema", "version", "keys", "key", "expires", "revoked", "fingerprint", "reason"])
SMALL = st.none() | st.booleans() | st.integers() | st.text(max_size=8)


@given(st.recursive(SMALL, lambda inner: st.lists(inner) | st.dictionaries(WORDS, inner), max_leaves=12))
def test_no_json_breaks_the_reader_of_key_sets(value: object) -> None:
    with pytest.raises(trust.KeySetInvalid):
        trust.read_keyset(canonical.dumps(value), "keyset.json")


def test_a_stranger_is_refused_and_his_fingerprint_said(keys: list[trust.PublicKey]) -> None:
    with pytest.raises(trust.UnknownSigner, match="not trusted here"):
        trusting(VendorKey(keys[0])).judge(keys[1], NOW, admitted=False)


def test_a_key_signs_until_the_end_of_its_last_day(keys: list[trust.PublicKey]) -> None:
    site = trusting(VendorKey(keys[0], date(2026, 11, 21)))
    site.judge(keys[0], NOW, admitted=False)
    with pytest.raises(trust.KeyExpired, match="valid until 2026-11-21"):
        site.judge(keys[0], NOW.replace(day=22), admitted=False)


def test_a_clock_set_back_does_not_make_an_expired_key_valid(keys: list[trust.PublicKey]) -> None:
    site = trusting(VendorKey(keys[0], date(2026, 11, 21)), floor=NOW.replace(day=25))
    with pytest.raises(trust.KeyExpired, match="newest bundle seen was signed 2026-11-25"):
        site.judge(keys[0], NOW.replace(year=2020), admitted=False)


def test_the_floor_of_time_never_falls(keys: list[trust.PublicKey]) -> None:
    site = trusting(VendorKey(keys[0]))
    later = site.learned(said("2026-11-25T00:00:00Z"), keys[0], None)
    assert later.learned(said("2026-01-01T00:00:00Z"), keys[0], None).floor == later.floor == datetime(2026, 11, 25, tzinfo=UTC)


def test_what_was_admitted_needs_no_valid_key_unless_it_was_revoked(keys: list[trust.PublicKey]) -> None:
    Trust().judge(keys[0], NOW, admitted=True)
    trusting(VendorKey(keys[0], date(2020, 1, 1))).judge(keys[0], NOW, admitted=True)
    with pytest.raises(trust.KeyRevoked, match="stolen"):
        Trust(revoked={keys[0].fingerprint: "stolen"}).judge(keys[0], NOW, admitted=True)


def test_a_newer_key_set_replaces_the_older_and_never_goes_back(keys: list[trust.PublicKey]) -> None:
    first = trusting(VendorKey(keys[0]), version=0)
    second = KeySet(2, (VendorKey(keys[0], date(2027, 1, 1)), VendorKey(keys[1])))
    site = first.learned(said("2026-11-21T00:00:00Z"), keys[0], second)
    assert site.vendors == (Vendor("vendor", second),)
    site.judge(keys[1], NOW, admitted=False)
    older = site.learned(said("2026-11-22T00:00:00Z"), keys[1], KeySet(1, (VendorKey(keys[2]),)))
    assert older.vendors == site.vendors


def test_another_set_of_the_same_version_is_refused(keys: list[trust.PublicKey]) -> None:
    site = trusting(VendorKey(keys[0]), version=2)
    with pytest.raises(trust.KeySetInvalid, match="version 2"):
        site.learned(said("2026-11-21T00:00:00Z"), keys[0], KeySet(2, (VendorKey(keys[1]),)))


def test_a_set_signed_by_another_vendor_changes_nothing(keys: list[trust.PublicKey]) -> None:
    site = trusting(VendorKey(keys[0]))
    stranger = KeySet(9, (VendorKey(keys[2]),), {keys[0].fingerprint: "a lie"})
    after = site.learned(said("2026-11-21T00:00:00Z"), keys[2], stranger)
    assert after.vendors == site.vendors
    assert after.revoked == {}


def test_a_revocation_travels_in_a_set_and_stays(keys: list[trust.PublicKey]) -> None:
    site = trusting(VendorKey(keys[0]), VendorKey(keys[1]))
    site = site.learned(said("2026-11-21T00:00:00Z"), keys[1], KeySet(2, (VendorKey(keys[1]),), {keys[0].fingerprint: "lost"}))
    site = site.learned(said("2026-11-22T00:00:00Z"), keys[1], KeySet(3, (VendorKey(keys[0]), VendorKey(keys[1]))))
    with pytest.raises(trust.KeyRevoked, match="lost"):
        site.judge(keys[0], NOW, admitted=False)
    assert keys[0] not in site.keys


def test_trust_is_written_and_read_back(keys: list[trust.PublicKey], tmp_path: Path) -> None:
    trust.add_trusted(keys[0], "acme", tmp_path)
    site = trust.load_trust(tmp_path).learned(said("2026-11-21T00:00:00Z"), keys[0], KeySet(4, (VendorKey(keys[1]),)))
    trust.save_trust(site, tmp_path)
    assert trust.load_trust(tmp_path) == site
    revoked = trust.revoke(keys[1].fingerprint, "by telephone", tmp_path)
    assert trust.load_trust(tmp_path) == revoked
    assert revoked.keys == ()


def test_a_name_that_another_key_has_gets_a_number(keys: list[trust.PublicKey], tmp_path: Path) -> None:
    assert [trust.add_trusted(key, "vendor", tmp_path).name for key in (keys[0], keys[1], keys[0])] == [
        "vendor.pub", "vendor-2.pub", "vendor.pub",
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["{", '{"schema": 7}', '{"schema": 1, "revoked": {}, "floor": "today"}', "[]"])
def test_a_damaged_state_stops_with_its_place(tmp_path: Path, text: str) -> None:
    (tmp_path / "state.json").write_text(text)
    with pytest.raises(trust.KeySetInvalid, match="state.json: cannot be read"):
        trust.load_trust(tmp_path)
