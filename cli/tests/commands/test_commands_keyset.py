"""Years of a vendor and a site: a next key, a stolen one, an expired one. The site's files lie in another folder."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from deploybundle import pack, sources, trust
from deploybundle.open import Head
from deployctl.commands import verify
from deployctl.commands.keyset import keyset_path

KEYS = "xdg_config_home/deployctl"


def test_there_is_no_set_until_a_key_is_added(deployctl, home):  # type: ignore[no-untyped-def]
    said = deployctl("keyset", "show")
    assert said.code == 1 and "there is no key set" in said.err


@pytest.fixture
def vendor(deployctl, home: Path):  # type: ignore[no-untyped-def]
    """A vendor with a key in his set, and a site that trusts it."""
    deployctl("keygen", "--no-passphrase")
    assert deployctl("keyset", "add", home / KEYS / "signing.key.pub").code == 0
    return deployctl


def bundle(home: Path, version: str, key: Path, day: str = "2026-11-21") -> Path:
    meta = {"schema": 1, "name": "shop", "version": version, "services": {}}
    signed = datetime.fromisoformat(day).replace(tzinfo=UTC)
    out = home / f"{version}.bundle.tar"
    compose = home / "compose.yaml"
    compose.write_text(f"# {version}\n")
    pack.build(
        out, meta=meta, images=[], source=sources.DockerImages(), files={"compose.yaml": compose}, wheels={}, tools={},
        signer=trust.load_private(key, None), keyset={"keyset.json": keyset_path()}, clock=lambda: signed,
    )  # fmt: skip
    return out


def used(path: Path) -> None:
    verify.learn(verify.trusted(path))


def test_a_next_key_is_trusted_once_a_bundle_by_the_current_one_said_so(vendor, home: Path) -> None:  # type: ignore[no-untyped-def]
    vendor("keygen", "--no-passphrase", "--key", home / "next.key")
    (home / KEYS / "trusted/next.pub").unlink()  # this site has not heard of it
    assert vendor("keyset", "add", home / "next.key.pub", "--expires", "2031-12-31").code == 0
    second = bundle(home, "2.0.0", home / "next.key")
    with pytest.raises(trust.UnknownSigner):
        verify.trusted(second)
    used(bundle(home, "1.1.0", home / KEYS / "signing.key"))
    assert verify.trusted(second).version == "2.0.0"


def test_a_stolen_key_is_refused_also_for_what_it_signed_before(vendor, home: Path) -> None:  # type: ignore[no-untyped-def]
    old = home / KEYS / "signing.key"
    first = bundle(home, "1.0.0", old)
    used(first)
    vendor("keygen", "--no-passphrase", "--key", home / "next.key")
    vendor("keyset", "add", home / "next.key.pub")
    used(bundle(home, "1.1.0", old))
    fingerprint = trust.PublicKey.load(home / KEYS / "signing.key.pub").fingerprint
    assert vendor("keyset", "revoke", fingerprint, "--reason", "stolen").code == 0
    used(bundle(home, "1.2.0", home / "next.key"))
    with pytest.raises(trust.KeyRevoked, match="stolen"):
        verify.trusted(first, admitted=lambda head: True)
    with pytest.raises(trust.KeyRevoked):
        verify.trusted(first, old.with_name("signing.key.pub"))
    assert "stolen" in vendor("trust", "show").out


def test_an_expired_key_still_opens_what_was_used_before(vendor, home: Path) -> None:  # type: ignore[no-untyped-def]
    vendor("keyset", "add", home / KEYS / "signing.key.pub", "--expires", "2999-11-20")
    keys = home / KEYS / "keyset.json"
    keys.write_text(keys.read_text().replace("2999-", "2026-"))
    first = bundle(home, "1.0.0", home / KEYS / "signing.key", "2026-11-19")
    head = verify.peek(first)
    used_before: list[Head] = [head]
    verify.learn(verify.trusted(first, admitted=lambda head: head in used_before))
    with pytest.raises(trust.KeyExpired):
        verify.trusted(bundle(home, "1.0.1", home / KEYS / "signing.key"), admitted=lambda head: head in used_before)
    assert verify.trusted(first, admitted=lambda head: head in used_before).version == "1.0.0"


def test_a_bundle_is_not_made_with_a_key_outside_its_set(vendor, home: Path) -> None:  # type: ignore[no-untyped-def]
    trust.generate(home / "other.key", None)
    with pytest.raises(pack.CannotBundle, match="not in the key set"):
        pack.make(home, home, trust.load_private(home / "other.key", None), None, keyset=keyset_path())  # type: ignore[arg-type]


def test_the_last_key_cannot_be_retired_and_an_unknown_one_neither(vendor, home: Path) -> None:  # type: ignore[no-untyped-def]
    fingerprint = trust.PublicKey.load(home / KEYS / "signing.key.pub").fingerprint
    assert "no key would be left" in vendor("keyset", "retire", fingerprint).err
    assert "[not-in-key-set]" in vendor("keyset", "retire", "SHA256:" + "A" * 43).err


@pytest.fixture
def first_and_next(vendor, home: Path) -> tuple[str, str]:  # type: ignore[no-untyped-def]
    """Two keys of the set, by their fingerprints."""
    vendor("keygen", "--no-passphrase", "--key", home / "next.key")
    vendor("keyset", "add", home / "next.key.pub")
    first, later = (trust.PublicKey.load(each) for each in (home / KEYS / "signing.key.pub", home / "next.key.pub"))
    return first.fingerprint, later.fingerprint


@pytest.mark.parametrize("by_file", [False, True])
def test_a_key_that_was_retired_can_still_be_revoked(vendor, home: Path, first_and_next, by_file: bool) -> None:  # type: ignore[no-untyped-def]
    first, _ = first_and_next
    assert vendor("keyset", "retire", first).code == 0
    said = vendor("keyset", "revoke", home / KEYS / "signing.key.pub" if by_file else first, "--reason", "laptop stolen")
    assert said.code == 0 and "not in the key set" in said.err
    assert f"{first}  revoked: laptop stolen" in vendor("keyset", "show").out


def test_a_shortened_fingerprint_is_refused_with_the_whole_one(vendor, first_and_next) -> None:  # type: ignore[no-untyped-def]
    first, _ = first_and_next
    for verb in (["keyset", "retire"], ["keyset", "revoke", "--reason", "y"]):
        said = vendor(*verb, first[:-5])
        assert said.code == 1 and "[key-unknown]" in said.err and first in said.err, said
    said = vendor("keyset", "revoke", "nowhere.pub", "--reason", "y")
    assert "[key]" in said.err and "→ name the .pub file" in said.err


def test_a_revoked_key_comes_back_into_no_set_and_is_listed_as_revoked_only(  # type: ignore[no-untyped-def]
    vendor, home: Path, first_and_next
) -> None:
    first, later = first_and_next
    before = keyset_path().read_text()
    vendor("keyset", "revoke", first, "--reason", "stolen")
    said = vendor("keyset", "add", home / KEYS / "signing.key.pub")
    assert "[key-revoked]" in said.err and "stolen" in said.err and "deployctl keygen" in said.err
    both = {**json.loads(before), "revoked": json.loads(keyset_path().read_text())["revoked"]}  # as once was accepted
    keyset_path().write_bytes(trust.canonical.dumps(both))
    assert vendor("keyset", "show").out.splitlines()[1:] == [f"{later}  until further notice", f"{first}  revoked: stolen"]
    assert [each["fingerprint"] for each in json.loads(vendor("keyset", "show", "--json").out)["keys"]] == [later]


def test_a_site_lists_what_is_revoked_as_revoked_only(vendor, home: Path) -> None:  # type: ignore[no-untyped-def]
    fingerprint = trust.PublicKey.load(home / KEYS / "signing.key.pub").fingerprint
    vendor("trust", "revoke", fingerprint, "--yes", "--reason", "stolen")
    said = vendor("trust", "show").out
    assert said.count(fingerprint) == 1 and "further notice" not in said and "all of its keys are revoked" in said
    (one,) = json.loads(vendor("trust", "show", "--json").out)["vendors"]
    assert one["keys"] == []


def test_a_site_revokes_by_itself_once_it_is_sure(vendor, home: Path) -> None:  # type: ignore[no-untyped-def]
    first = bundle(home, "1.0.0", home / KEYS / "signing.key")
    fingerprint = verify.peek(first).vendor.fingerprint
    assert vendor("trust", "revoke", fingerprint).code == 1
    for name, code in (("signing", "[key]"), ("SHA256:bogus", "[key-unknown]"), (fingerprint[:-3], "[key-unknown]")):
        said = vendor("trust", "revoke", name, "--yes")
        assert said.code == 1 and code in said.err and "[not-confirmed]" not in said.err, said
    assert fingerprint in said.err
    assert vendor("trust", "revoke", fingerprint, "--yes", "--reason", "by telephone").code == 0
    with pytest.raises(trust.KeyRevoked, match="by telephone"):
        verify.trusted(first)


def test_a_key_s_last_day_is_one_to_come(vendor, home: Path) -> None:  # type: ignore[no-untyped-def]
    for day in ("2020-01-01", "tomorrow"):
        said = vendor("keyset", "add", home / KEYS / "signing.key.pub", "--expires", day)
        assert (said.code, "[no-day]" in said.err, "→" in said.err) == (1, True, True), said
    assert vendor("keyset", "show").out.startswith("version 1\n")


def test_a_site_takes_no_key_set_on_that_ends_what_signed_it(vendor, home: Path) -> None:  # type: ignore[no-untyped-def]
    """It would refuse the next bundle, and the one that puts it right."""
    vendor("keyset", "add", home / KEYS / "signing.key.pub", "--expires", "2999-11-20")
    keys = home / KEYS / "keyset.json"
    keys.write_text(keys.read_text().replace("2999-", "2020-"))
    first = bundle(home, "1.0.0", home / KEYS / "signing.key")
    with pytest.raises(trust.KeySetInvalid, match="valid until 2020-11-20"):
        verify.learn(verify.trusted(first))
    vendor("keyset", "add", home / KEYS / "signing.key.pub")
    used(bundle(home, "1.0.1", home / KEYS / "signing.key"))


def test_a_revoked_key_is_not_trusted_again_by_hand(vendor, home: Path) -> None:  # type: ignore[no-untyped-def]
    file = home / KEYS / "signing.key.pub"
    vendor("trust", "revoke", trust.PublicKey.load(file).fingerprint, "--yes", "--reason", "stolen")
    said = vendor("trust", "add", "--yes", file)
    assert said.code == 3 and "[key-revoked]" in said.err and "trusted:" not in said.err, said
    assert f"revoked since {datetime.now(UTC).date()}: stolen" in said.err


def test_a_key_that_its_vendor_retired_is_named_so_and_not_trusted_by_hand(vendor, home: Path, first_and_next) -> None:  # type: ignore[no-untyped-def]
    """Neither the one that a person trusted, nor one that came in a set."""
    first, later = first_and_next
    (home / KEYS / "trusted/next.pub").unlink()  # this site hears of it in a bundle
    old, file = home / KEYS / "signing.key", home / KEYS / "signing.key.pub"
    used(bundle(home, "1.0.0", old))
    vendor("keygen", "--no-passphrase", "--key", home / "third.key")
    (home / KEYS / "trusted/third.pub").unlink()
    vendor("keyset", "add", home / "third.key.pub")
    vendor("keyset", "retire", first)
    used(bundle(home, "1.1.0", home / "next.key"))
    vendor("keyset", "retire", later)
    used(bundle(home, "1.2.0", home / "third.key"))
    for name, key, public in (("0.9.0", old, file), ("0.9.1", home / "next.key", home / "next.key.pub")):
        path = bundle(home, name, key)
        said = vendor("trust", "add", "--yes", public)
        assert said.code == 3 and "[key-retired]" in said.err and "signs with no more" in said.err, said
        seen = vendor("inspect", path)
        assert "[key-retired]" in seen.err and "signed by his current key" in seen.err and "trust add" not in seen.err
        assert verify.trusted(path, admitted=lambda head: True).version == name


def test_a_key_that_a_thief_retired_is_trusted_again_once_his_are_revoked(vendor, home: Path, first_and_next) -> None:  # type: ignore[no-untyped-def]
    first, later = first_and_next
    (home / KEYS / "trusted/next.pub").unlink()
    used(bundle(home, "1.0.0", home / KEYS / "signing.key"))
    vendor("keyset", "retire", first)
    used(bundle(home, "1.1.0", home / "next.key"))
    vendor("trust", "revoke", later, "--yes", "--reason", "stolen")
    path = bundle(home, "1.2.0", home / KEYS / "signing.key")
    with pytest.raises(trust.UnknownSigner):
        verify.trusted(path)
    assert vendor("trust", "add", "--yes", home / KEYS / "signing.key.pub").code == 0
    assert verify.trusted(path).version == "1.2.0"


def test_a_key_that_comes_back_into_its_vendor_s_set_is_trusted_again(vendor, home: Path, first_and_next) -> None:  # type: ignore[no-untyped-def]
    first, _ = first_and_next
    used(bundle(home, "1.0.0", home / KEYS / "signing.key"))
    vendor("keyset", "retire", first)
    used(bundle(home, "1.1.0", home / "next.key"))
    vendor("keyset", "add", home / KEYS / "signing.key.pub")
    used(bundle(home, "1.2.0", home / "next.key"))
    assert verify.trusted(bundle(home, "1.3.0", home / KEYS / "signing.key")).version == "1.3.0"
