"""The record: what was there before, and what was ever admitted."""

from sites import release, site, sources

from deployctl.desired import desired
from deployctl.plan import record


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
