"""The main job at acme, as a user, an administrator of a host and a misfortune see it."""

from __future__ import annotations

import json
import re
import shlex
import time
from collections.abc import Set as AbstractSet
from typing import Any

import pytest

from deployctl import rehearsal
from places import USB, Place

pytestmark = pytest.mark.e2e
BUNDLE = "collector-1.0.0.bundle.tar"
API = "https://web1:8443"
PORTS = (22, 2375, 5432, 6379, 8000, 8443)
FOLDER = "/etc/deployctl/collector"
SERVICES = {
    "web1": {"nginx"}, "app1": {"api", "worker"}, "app2": {"api", "worker"}, "db1": {"postgres", "redis"},
}  # fmt: skip
RUNS = "select count(*) from runs"


@pytest.fixture(scope="module")
def report(acme: Place) -> dict[str, Any]:
    """What the first install says."""
    acme.reset()
    return acme.installed(BUNDLE)


@pytest.fixture
def installed(acme: Place, report: dict[str, Any]) -> Place:
    """The site, with the product on it."""
    return acme


def untouched(before: dict[str, str], after: dict[str, str], *, but: AbstractSet[str] = frozenset()) -> None:
    """No other container than these was made again, or started again."""
    assert set(before) == set(after)
    assert {name for name in before if before[name] != after[name]} == but


def isolated(place: Place) -> None:
    """All promised flows are open, all others shut."""
    found = json.loads(place.status("--flows", "--json").stdout)["flows"]
    assert found
    assert [flow for flow in found if not flow["good"]] == []


# what the first install says ------------------------------------------------------------------------------------------


def test_every_service_is_healthy_on_its_host(report: dict[str, Any]) -> None:
    found = {(one["host"], one["service"]): one["state"] for one in report["services"]}
    assert found == {(host, service): "healthy" for host, services in SERVICES.items() for service in services}


def test_every_promised_flow_is_open_and_every_other_shut(report: dict[str, Any]) -> None:
    assert [flow for flow in report["flows"] if not flow["good"]] == []
    promised = {(flow["host"], flow["from"], flow["to"]) for flow in report["flows"] if flow["promised"] == "open"}
    callers = {(host, caller) for host in ("app1", "app2") for caller in ("api", "worker")}
    own = {("web1", "nginx"), ("app1", "api"), ("app2", "api"), ("db1", "postgres"), ("db1", "redis")}
    assert promised == {("web1", "nginx", "api")} | {(*caller, to) for caller in callers for to in ("postgres", "redis")} | {
        (host, "the host itself", service) for host, service in own
    }


def test_what_is_forbidden_was_tried_from_each_container_in_every_way(acme: Place, report: dict[str, Any]) -> None:
    shut = {(f["host"], f["from"], f["to"], f["address"], f["port"]) for f in report["flows"] if f["promised"] == "shut"}
    outside = "192.0.2.1"
    for host, services in SERVICES.items():
        for caller in services:
            assert (host, caller, "outside", outside, 443) in shut
            for other in acme.site.targets:
                assert (host, caller, f"ssh of {other.name}", str(other.address), 22) in shut
    # A container and its neighbour: by the host's address, by the service's and by the container's own.
    neighbour = {address for host, caller, to, address, _ in shut if (host, caller, to) == ("db1", "postgres", "redis")}
    container = acme.on("db1", "docker inspect -f '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' collector-redis-1")
    assert {str(acme.site.hosts["db1"].address), container.stdout.strip()} < neighbour
    assert len({address for address in neighbour if ":" not in address}) == 3
    ways = {(f["protocol"], ":" in f["address"]) for f in report["flows"] if (f["host"], f["to"]) == ("app1", "postgres")}
    assert ways == {(protocol, six) for protocol in ("tcp", "udp") for six in (False, True)}


# from outside ---------------------------------------------------------------------------------------------------------


def test_users_reach_nginx_and_nothing_else(installed: Place) -> None:
    assert installed.open_ports("clients", PORTS) == {"web1:8443"}


def test_the_deploy_node_reaches_ssh_and_nothing_else(installed: Place) -> None:
    assert installed.open_ports("deploy", PORTS) == {f"{host}:22" for host in SERVICES}


def test_the_api_answers_over_tls_with_all_its_parts(installed: Place) -> None:
    health = installed.asked(f"{API}/health")
    assert (health["status"], health["version"]) == ("ok", "1.0.0")
    assert {name: part["status"] for name, part in health["parts"].items()} == {"postgres": "ok", "redis": "ok", "queue": "ok"}
    assert installed.curl("http://web1:8443/health", "-o", "/dev/null", "-w", "%{http_code}") == "400"


def test_both_hosts_of_the_api_get_requests(installed: Place) -> None:
    nobody = "/api/v1/jobs/status/00000000-0000-0000-0000-0000000000[00-19]"
    installed.curl(f"{API}{nobody}", "-o", "/dev/null")
    sent = {
        line["request_id"]: line["upstream"].partition(":")[0]
        for line in installed.logs("web1", "collector-nginx-1")
        if line["path"].startswith(nobody.partition("[")[0])
    }
    assert len(sent) >= 20
    for host in ("app1", "app2"):
        own = {name for name, address in sent.items() if address == str(installed.site.hosts[host].address)}
        assert own
        assert own <= {line.get("request_id") for line in installed.logs(host, "collector-api-1")}


def test_a_job_of_type_file_runs_to_its_result(installed: Place) -> None:
    body = json.dumps({"source_type": "file", "config": {"path": "/data/samples/readings.csv"}})
    job = installed.asked(f"{API}/api/v1/jobs/trigger", "-H", "Content-Type: application/json", "-d", body)
    for _ in range(40):
        state = installed.asked(API + job["status_url"])
        if state["status"] not in ("queued", "running"):
            break
        time.sleep(0.25)
    assert (state["status"], state["error"]) == ("succeeded", None)
    result = installed.asked(API + job["result_url"])
    assert len(result["rows"]) == min(result["total"], state["rows"]) > 0


# on a host, without deployctl -----------------------------------------------------------------------------------------


def test_compose_by_hand_changes_nothing(installed: Place) -> None:
    before = installed.containers()
    for host, services in SERVICES.items():
        installed.on(host, f"cd {FOLDER} && docker compose up -d")
        shown = installed.on(host, f"cd {FOLDER} && docker compose ps --format '{{{{.Service}}}} {{{{.Health}}}}'")
        assert set(shown.stdout.splitlines()) == {f"{service} healthy" for service in services}
    untouched(before, installed.containers())


def test_each_host_has_a_readme_that_names_what_runs(installed: Place) -> None:
    for host, services in SERVICES.items():
        text = installed.on(host, f"cat {FOLDER}/README").stdout
        assert host in text
        assert all(f"\n  {service} " in text for service in services)
        assert FOLDER in text
        assert "/etc/deployctl/*/README" in installed.on(host, "cat /etc/deployctl/README").stdout


def test_every_log_rotates(installed: Place) -> None:
    for host in SERVICES:
        form = '{{.Name}} {{.HostConfig.LogConfig.Type}} {{index .HostConfig.LogConfig.Config "max-size"}}'
        shown = installed.on(host, f"docker inspect -f {shlex.quote(form)} $(docker ps -q)").stdout.split("\n")
        assert {tuple(line.split()[1:]) for line in shown if line} == {("json-file", "10m")}


# again ----------------------------------------------------------------------------------------------------------------


def test_install_again_changes_nothing_in_seconds(installed: Place) -> None:
    before, runs = installed.containers(), installed.journal(RUNS)
    began = time.monotonic()
    again = installed.installed(BUNDLE)
    assert time.monotonic() - began < 30  # 4 s on two idle cores
    assert (again["changed"], again["bytes"]) == ([], 0)
    untouched(before, installed.containers())
    assert installed.journal(RUNS) == runs
    assert installed.install(BUNDLE, "--no-flows").stdout.count("nothing to change") == 1


def test_what_drifted_is_mended_and_nothing_else_touched(installed: Place) -> None:
    installed.on("db1", f"echo '# by hand' >> {FOLDER}/compose.yaml")
    installed.on("app2", "docker stop -t 5 collector-worker-1")
    before = installed.containers()
    again = installed.installed(BUNDLE)
    assert (again["changed"], again["bytes"]) == (["app2", "db1"], 0)
    untouched(before, installed.containers(), but={"app2/collector-worker-1"})
    assert "by hand" not in installed.on("db1", f"cat {FOLDER}/compose.yaml").stdout
    assert installed.installed(BUNDLE)["changed"] == []


def test_a_configuration_edited_in_place_is_mended_in_the_container_too(installed: Place) -> None:
    installed.on("web1", f"echo '# by hand' >> {FOLDER}/config/nginx.conf")
    before = installed.containers()
    assert installed.installed(BUNDLE)["changed"] == ["web1"]
    inside = installed.on("web1", "docker exec collector-nginx-1 cat /etc/nginx/nginx.conf").stdout
    assert inside == installed.on("web1", f"cat {FOLDER}/config/nginx.conf").stdout
    assert "by hand" not in inside
    untouched(before, installed.containers(), but={"web1/collector-nginx-1"})


def test_plain_ansible_finds_the_same_and_mends_the_same(installed: Place) -> None:
    home = "/opt/deployctl/current"
    play = (
        f"ANSIBLE_VAULT_PASSWORD_FILE=vault-password {home}/bin/ansible-playbook {home}/playbooks/install.yml"
        f" -i inventories/{installed.client} -e deployctl_bundle={USB}/{BUNDLE}"
    )
    before = installed.containers()
    assert set(changed(installed.deploy(play).stdout)) == {"localhost"}
    installed.on("app1", "docker stop -t 5 collector-worker-1; rm /var/lib/deployctl/collector/secrets/worker/..data")
    found = changed(installed.deploy(play).stdout)
    assert set(found) == {"localhost", "app1"}
    assert found["localhost"] == 0 < found["app1"]
    untouched(before, installed.containers(), but={"app1/collector-worker-1"})
    assert installed.deploy("ls /dev/shm").stdout == ""
    assert installed.installed(BUNDLE)["changed"] == []


def changed(said: str) -> dict[str, int]:
    """The hosts of Ansible's recap, and how much changed on each."""
    return {host: int(count) for host, count in re.findall(r"^(\S+) +: ok=.* changed=(\d+) ", said, re.MULTILINE)}


# misfortune -----------------------------------------------------------------------------------------------------------


def test_restarting_nftables_keeps_flows_and_isolation(installed: Place) -> None:
    before = installed.containers()
    installed.on("app1", "nft add table inet somebody && systemctl restart nftables")
    assert "somebody" not in installed.on("app1", "nft list tables").stdout  # all tables were flushed
    isolated(installed)
    assert installed.asked(f"{API}/health")["status"] == "ok"
    untouched(before, installed.containers())


def test_after_a_power_cut_the_site_gets_healthy_by_itself_and_stays_isolated(installed: Place) -> None:
    rehearsal.power_off(installed.client, "db1")
    rehearsal.power_on(installed.client, "db1")
    installed.settled()
    loaded, docker = installed.on(
        "db1",
        "for unit in deployctl-network docker; do systemctl show -p ActiveEnterTimestampMonotonic --value $unit.service; done",
    ).stdout.split()
    assert 0 < int(loaded) < int(docker)
    isolated(installed)
    assert installed.asked(f"{API}/health")["status"] == "ok"
    assert installed.installed(BUNDLE)["changed"] == []


def test_a_host_whose_containers_are_gone_sends_their_callers_nowhere(installed: Place) -> None:
    installed.on("db1", f"cd {FOLDER} && docker compose down")
    assert installed.asked(f"{API}/health")["status"] == "ill"
    installed.on("db1", f"cd {FOLDER} && docker compose up -d")
    installed.settled()
    assert installed.installed(BUNDLE)["changed"] == []
    isolated(installed)


def test_nothing_ever_tried_to_leave_the_site(installed: Place) -> None:
    seen = rehearsal.counts(installed.client)
    assert (seen.leak, seen.leak_packets) == (0, ())
