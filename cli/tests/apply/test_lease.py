"""The lease over several hosts; the hosts are this machine under several roots."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from deploybundle.errors import LockedError, SiteError
from deployctl.apply import lease as module
from deployctl.apply.failures import HostLost
from deployctl.apply.lease import hold
from deployctl.hosts import LockLost, ask
from deployctl.site import ClientSettings, Host, Site


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    def rooted(host: Host, known: Path, verb: str, request: Mapping[str, Any], **how: Any) -> dict[str, Any]:
        return ask(host, known, verb, {**request, "root": str(tmp_path / host.name)}, **how)

    monkeypatch.setattr(module, "ask", rooted)
    hosts = {name: Host(name, "127.0.0.1", "data", {"ansible_connection": "local"}) for name in ("a", "b")}
    return Site("acme", tmp_path, hosts, ClientSettings())


def lock_file(site: Site, host: str) -> Path:
    return site.folder / host / "var/lib/deployctl/shop/lock.json"


@pytest.fixture
def installed(site: Site) -> None:
    """Something is installed on both hosts."""
    for host in site.hosts:
        lock_file(site, host).parent.mkdir(parents=True)
        (lock_file(site, host).parent / "record.json").write_text("{}")


@pytest.mark.usefixtures("installed")
def test_a_lease_is_held_on_all_hosts_and_given_back(site: Site) -> None:
    with hold(site, site.targets, "shop", "r1") as lease:
        assert lease.epochs == {"a": 1, "b": 1}
        assert json.loads(lock_file(site, "b").read_text())["run"] == "r1"
    assert json.loads(lock_file(site, "b").read_text()) == {"epoch": 1, "schema": 1}
    with hold(site, site.targets, "shop", "r2") as lease:
        assert lease.epoch == 2


def test_where_nothing_is_installed_a_lease_leaves_nothing(site: Site) -> None:
    with hold(site, site.targets, "shop", "r1"):
        assert lock_file(site, "a").exists()
    assert not (site.folder / "a/var/lib/deployctl").exists()


def test_products_that_share_a_host_wait_for_each_other(site: Site) -> None:
    other = hold(site, [site.hosts["b"]], "books", "r2")
    with hold(site, site.targets, "shop", "r1"), pytest.raises(LockedError, match="b: .* since"), other:
        pytest.fail("the lock was given twice")


@pytest.mark.usefixtures("installed")
def test_when_one_host_is_locked_none_is(site: Site) -> None:
    with hold(site, [site.hosts["b"]], "shop", "r1"):
        with pytest.raises(LockedError, match="b: .* since .* lease until"), hold(site, site.targets, "shop", "r2"):
            pytest.fail("the lock was given twice")
        assert "run" not in json.loads(lock_file(site, "a").read_text())


def test_a_lease_is_renewed_and_its_loss_is_told(site: Site) -> None:
    with hold(site, site.targets, "shop", "r1", ttl=9) as lease:
        first = lock_file(site, "a").read_text()
        eventually(lambda: lock_file(site, "a").read_text() != first)
        lease.check()
        lock_file(site, "a").unlink()
        with pytest.raises(LockLost):
            eventually(lambda: lease.check() is not None)


@pytest.mark.usefixtures("installed")
def test_a_host_that_falls_silent_is_lost_not_locked(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    rooted = module.ask

    def silent(host: Host, known: Path, verb: str, request: Mapping[str, Any], **how: Any) -> dict[str, Any]:
        if (verb, host.name) == ("renew", "b"):
            raise SiteError("no answer within 10 s", place=host.name)
        return rooted(host, known, verb, request, **how)

    monkeypatch.setattr(module, "ask", silent)
    with hold(site, site.targets, "shop", "r1", ttl=1.5) as lease, pytest.raises(HostLost, match="^b: .*no answer within 10 s"):
        eventually(lambda: lease.check() is not None)


def eventually(true: Callable[[], bool]) -> None:
    """Wait for it: long, because a busy machine is slow; bounded, because what never comes is a failure."""
    end = time.monotonic() + 90
    while not true():
        assert time.monotonic() < end
        time.sleep(0.1)
