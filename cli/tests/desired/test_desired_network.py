"""The table of a host: nft reads it, and it says just what the flows say."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest
from hypothesis import given, settings
from sites import ACME, ONE, release, releases, site, sites, sources

from deploybundle.release import Release
from deployctl.desired import desired
from deployctl.desired.addresses import bridge_prefix, networks
from deployctl.desired.flows import EVERYWHERE
from deployctl.site import Site

NFT = shutil.which("nft", path=os.environ.get("PATH", "") + ":/usr/sbin")
needs_nft = pytest.mark.skipif(NFT is None or os.getuid() != 0, reason="needs nft and root")
SHOP = release(
    {"nginx": {"x": {"segment": "dmz"}}, "my_api": {"x": {"segment": "internal"}}, "my-api": {"x": {"segment": "internal"}},
     "db": {"x": {"segment": "data"}}},
    [("clients", "nginx", 8443), ("nginx", "my_api", 8000), ("my_api", "db", 5432), ("my-api", "crm", 443)],
)  # fmt: skip
OUTSIDE = {"networks": {"clients": {"cidr": ["10.77.50.0/24"]}}, "externals": {"crm": {"address": "10.77.60.5"}}}


def nft(text: str, script: str) -> subprocess.CompletedProcess[str]:
    """What nft says to a table, in a network of its own."""
    command = ["unshare", "-n", "sh", "-ec", script.replace("nft", NFT or "nft")]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=False)


@needs_nft
@settings(max_examples=25)
@given(releases(), sites())
def test_nft_reads_the_table_of_every_host_of_any_release(given: Release, where: Site) -> None:
    tables = [host.network for host in desired(given, where, sources(given)).hosts.values()]
    for text in tables:
        answer = nft(text, "nft -c -f -")
        assert answer.returncode == 0, f"{answer.stderr}\n{text}"


@needs_nft
def test_the_table_replaces_itself_whole() -> None:
    text = desired(SHOP, site(**OUTSIDE), sources(SHOP)).hosts["web1"].network
    listed = [nft(text * times, "nft -f -; nft list ruleset").stdout for times in (1, 2)]
    assert "dnat ip to" in listed[0]
    assert listed[0] == listed[1]


def lines(text: str, chain: str) -> list[str]:
    """The lines of one chain or map."""
    return [line.strip() for line in text.split(f" {chain} {{\n")[1].split("\n  }\n")[0].splitlines()]


def test_what_arrives_at_a_host_goes_to_the_container_from_permitted_sources_only() -> None:
    shall = desired(SHOP, site(**OUTSIDE), sources(SHOP))
    web, app = shall.hosts["web1"].network, shall.hosts["app1"].network
    assert "10.77.10.11 . 8443 : " in "".join(lines(web, "map live_tcp"))
    assert any(
        line.startswith("ip saddr { 10.77.50.0/24 } oifname") and line.endswith("ct original proto-dst 8443 goto pass")
        for line in lines(web, "chain guard")
    )
    bridge = networks("shop", SHOP.services, site().client.pool)["my_api"].bridge
    assert (  # by the addresses before the map changed them, so that a container's own address is no way in
        f'ip saddr {{ 10.77.10.11/32 }} oifname "{bridge}" ct original ip daddr 10.77.20.11'
        " meta l4proto tcp ct original proto-dst 8000 goto pass"
    ) in lines(app, "chain guard")
    assert not any("goto pass" in line and "ip saddr" in line for line in lines(shall.hosts["db1"].network, "chain from_db"))


def test_a_service_leaves_to_its_targets_only_and_near_names_have_chains_of_their_own() -> None:
    app = desired(SHOP, site(**OUTSIDE), sources(SHOP)).hosts["app1"].network
    assert [line.split("ip daddr ")[-1] for line in lines(app, "chain from_my_api")] == ["10.77.30.11 tcp dport 5432 goto pass"]
    assert [line.split("ip daddr ")[-1] for line in lines(app, "chain from_my-api")] == ["10.77.60.5 tcp dport 443 goto pass"]
    for name, net in networks("shop", ["db", "my-api", "my_api", "nginx"], site().client.pool).items():
        if name.startswith("my"):
            assert f'iifname "{net.bridge}" ip saddr != {net.subnet} counter name spoofed drop' in lines(app, "chain sources")


def test_what_is_not_named_is_refused_at_the_end_of_the_guard() -> None:
    for host in desired(SHOP, site(**OUTSIDE), sources(SHOP)).hosts.values():
        guard = lines(host.network, "chain guard")
        assert guard[-1] == "counter name refused_in drop"
        refused = next(number for number, line in enumerate(guard) if "refused_out reject" in line)
        assert "tcp reset" in guard[refused] and "icmpx" in guard[refused + 1]
        assert all(line.startswith("iifname") and " jump from_" in line for line in guard[3:refused])
        assert all("goto pass" in line for line in guard[refused + 2 : -1])


def test_what_the_map_sends_to_a_container_goes_to_its_bridge_or_nowhere() -> None:
    shall = desired(SHOP, site(**OUTSIDE), sources(SHOP))
    for host in shall.hosts.values():
        for chain in ("chain forward", "chain output"):
            last = next(line for line in lines(host.network, chain) if line.startswith("ip daddr {"))
            assert f'oifname != "{bridge_prefix("shop")}*"' in last
            assert last.endswith(("drop", "reject with tcp reset"))
            assert all(part["ipv4_address"].rpartition(".")[0] in last for name in host.services
                       for part in host.compose["services"][name]["networks"].values())  # fmt: skip


def test_programs_of_a_host_reach_no_service_of_another() -> None:
    app = desired(SHOP, site(**OUTSIDE), sources(SHOP)).hosts["app1"].network
    assert "10.77.30.11 . 5432" in "".join(lines(app, "chain output"))


def test_anybody_needs_no_source_and_nobody_needs_a_rule() -> None:
    one = release({"web": {}}, [("any", "web", 80)])
    text = desired(one, site(ONE), sources(one)).hosts["srv1"].network
    assert EVERYWHERE not in text
    assert lines(text, "chain guard")[-2].startswith("oifname")
    alone = release({"web": {}})
    assert "goto pass" not in "".join(lines(desired(alone, site(ONE), sources(alone)).hosts["srv1"].network, "chain guard")[3:])


def test_a_host_knows_its_own_services_only() -> None:
    shall = desired(SHOP, site(ACME, **OUTSIDE), sources(SHOP))
    assert "chain from_nginx" in shall.hosts["web1"].network
    assert "chain from_nginx" not in shall.hosts["app1"].network


def test_a_call_of_oneself_by_the_host_is_not_mapped_back() -> None:
    app = desired(SHOP, site(**OUTSIDE), sources(SHOP)).hosts["app1"].network
    bridge = networks("shop", SHOP.services, site().client.pool)["my_api"].bridge
    mapped = lines(app, "chain prerouting")
    assert mapped[1] == f'iifname "{bridge}" ip daddr . tcp dport {{ 10.77.20.11 . 8000 }} accept'
    assert mapped[2].startswith("dnat")


def test_a_strangers_container_on_a_callers_host_is_no_caller() -> None:
    app = desired(SHOP, site(**OUTSIDE), sources(SHOP)).hosts["app1"].network
    strangers = [line for line in lines(app, "chain forward") if line.startswith('meta iifkind "bridge"')]
    assert strangers
    assert all("10.77.30.11 . 5432" in line and "reject" in line for line in strangers)
