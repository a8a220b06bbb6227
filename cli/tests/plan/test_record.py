"""The record: what was there before, and what was ever admitted."""

import json

import pytest
from sites import ONE, release, site, sources

from deployctl.desired import desired
from deployctl.plan import SCHEMA, RecordDamaged, RecordTooNew, read_record, record


def test_a_record_remembers_the_release_before_and_all_that_was_admitted() -> None:
    shop = release({"web": {"x": {"segment": "dmz"}}}, [])
    shall = desired(shop, site(), sources(shop))
    host = next(iter(shall.hosts.values()))
    first = record(shall, host, "acme", "sha256:1", None)
    second = record(shall, host, "acme", "sha256:2", first)
    again = record(shall, host, "acme", "sha256:2", second)
    assert first["previous"] is None
    assert second["previous"] == again["previous"] == first["release"]
    assert again["admitted"] == ["sha256:1", "sha256:2"]


def test_a_record_of_an_older_deployctl_is_migrated_and_what_it_did_not_say_stays_unsaid() -> None:
    shop = release({"web": {}})
    shall = desired(shop, site(ONE), sources(shop))
    today = json.loads(json.dumps(record(shall, shall.hosts["srv1"], "acme", "sha256:1", None)))
    old = {key: value for key, value in today.items() if key not in ("images", "pool", "answers", "hosts")}
    old |= {"schema": 1, "files": sorted(today["files"])}
    read = read_record(old, "srv1")
    assert read is not None and read.keys() == today.keys()
    assert set(read["files"]) == set(today["files"]) and read["images"] == today["images"] and read["pool"] is None
    assert read_record(today, "srv1") == today
    assert read_record(None, "srv1") is None


@pytest.mark.parametrize("found", [{"schema": SCHEMA + 1}, {"schema": 99, "services": 1}])
def test_a_record_of_a_later_deployctl_is_refused(found: object) -> None:
    with pytest.raises(RecordTooNew, match="srv1: record.json has schema") as caught:
        read_record(found, "srv1")
    assert caught.value.exit_code == 4


@pytest.mark.parametrize("found", [{}, [], {"schema": "2"}, {"schema": 0}, "x"])
def test_what_is_no_record_is_refused(found: object) -> None:
    with pytest.raises(RecordDamaged):
        read_record(found, "srv1")


def test_a_record_tells_how_files_were_written_and_of_a_secret_no_digest() -> None:
    shop = release({"web": {"user": "1", "secrets": [{"source": "pw"}]}})
    shall = desired(shop, site(ONE), sources(shop, pw="canary"))
    files = record(shall, shall.hosts["srv1"], "acme", "sha256:1", None)["files"]
    plain = [about for about in files.values() if not {"link", "folder"} & set(about)]
    assert all(("sha256" in about) == ("secret" not in about) for about in plain)
    assert sum("secret" in about for about in files.values()) == 1
