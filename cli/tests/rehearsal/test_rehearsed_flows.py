"""What a release asks of the firewall between segments."""

from pathlib import Path

from deploybundle.release import Port
from deployctl.desired.flows import Arriving, Leaving, Local, SiteFlows
from deployctl.rehearsal import HostFlow, host_flows, read_project
from deployctl.site import ClientSettings, Host, Site

HOSTS = {"web1": Host("web1", "10.1.1.5", "dmz", {}), "app1": Host("app1", "10.1.2.5", "internal", {})}
SITE = Site("acme", Path("/srv/acme"), HOSTS, ClientSettings())


def test_flows_between_hosts_and_to_the_outside_are_asked_for_and_those_within_a_host_are_not() -> None:
    flows = SiteFlows(
        local=(Local("app1", "api", "redis", Port(6379)),),
        leaving=(
            Leaving("web1", "nginx", "api", "app1", "10.1.2.5", Port(8000)),
            Leaving("app1", "worker", "crm", "crm", "10.1.9.5", Port(443)),
        ),
        arriving=(Arriving("app1", ("10.1.1.5/32",), "nginx", "api", Port(8000), 18000),),
    )
    assert host_flows(flows, SITE) == [
        HostFlow(("10.1.1.5/32",), ("10.1.2.5",), 18000),
        HostFlow(("10.1.2.5",), ("10.1.9.5",), 443),
    ]


def test_a_projects_flows_are_read_without_a_version(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("name: shop\nservices: {web: {image: 'shop/web', ports: ['8080:8080']}}\n")
    one = Site("one", tmp_path, {"web1": HOSTS["web1"]}, ClientSettings(place={"web": "web1"}))
    assert read_project(one, tmp_path).name == "shop"
