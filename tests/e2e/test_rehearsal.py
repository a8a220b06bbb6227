"""The rehearsal itself, on a small site of its own: two segments, a network and a target outside."""

import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployctl import rehearsal
from deployctl.rehearsal import HostFlow, naming
from deployctl.site import Site, load_site

pytestmark = pytest.mark.e2e
CLIENT = "small"
HOSTS = """\
all:
  vars: {ansible_user: ops}
  children:
    dmz: {hosts: {web1: {ansible_host: 10.119.10.11}}}
    data: {hosts: {db1: {ansible_host: 10.119.30.11}}}
    management: {hosts: {deploy: {ansible_host: 10.119.40.10, ansible_connection: local}}}
"""
CLIENT_YML = """\
networks: {clients: {cidr: [10.119.50.0/24]}}
externals: {crm: {address: 10.119.60.5}}
"""
DB, WEB, CRM = "10.119.30.11", "10.119.10.11", "10.119.60.5"
FLOWS = [HostFlow((f"{WEB}/32",), (DB,), 5432), HostFlow(("10.119.50.0/24",), (WEB,), 8443), HostFlow((DB,), (CRM,), 443)]


def ours() -> list[str]:
    """Everything on this machine that carries the client's names: containers, networks, volumes, rules, interfaces."""
    prefix, found = naming.container(CLIENT, ""), []
    for words in (["ps", "-a", "--format", "{{.Names}}"], ["network", "ls", "--format", "{{.Name}}"], ["volume", "ls", "-q"]):
        said = subprocess.run(["docker", *words], capture_output=True, text=True, check=True).stdout
        found += [name for name in said.split() if name.startswith(prefix)]
    for argv, mark in (
        (["nft", "list", "tables"], naming.guard_table(CLIENT)),
        (["ip", "-o", "link"], naming.bridge_prefix(CLIENT)),
    ):
        found += re.findall(rf"{re.escape(mark)}\S*", subprocess.run(argv, capture_output=True, text=True, check=True).stdout)
    return found


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("inventories") / CLIENT
    (folder / "group_vars" / "all").mkdir(parents=True)
    (folder / "hosts.yml").write_text(HOSTS)
    (folder / "group_vars" / "all" / "client.yml").write_text(CLIENT_YML)
    medium = folder.parent / "medium"
    medium.mkdir()
    (medium / "a-bundle").write_text("carried in")
    loaded = load_site(folder)
    rehearsal.down(CLIENT, folder)
    assert ours() == []
    rehearsal.up(loaded, FLOWS, medium=medium)
    yield loaded
    rehearsal.down(CLIENT, folder)
    assert ours() == []
    assert not (folder / ".site").exists()


def run(machine: str, script: str, user: str = "root") -> subprocess.CompletedProcess[str]:
    return rehearsal.exec_in(CLIENT, machine, ["bash", "-c", script], user=user)


def is_open(machine: str, address: str, port: int) -> bool:
    return run(machine, f"timeout 2 bash -c 'exec 3<>/dev/tcp/{address}/{port}'").returncode == 0


def listen(machine: str, port: int) -> None:
    script = f"setsid python3 -m http.server {port} >/dev/null 2>&1 </dev/null &"
    assert run(machine, script).returncode == 0
    assert (
        run(
            machine, f"for i in {{1..50}}; do bash -c 'exec 3<>/dev/tcp/127.0.0.1/{port}' && exit; sleep 0.1; done; exit 1"
        ).returncode
        == 0
    )


def ssh(machine: str, command: str = "hostname", options: str = "-o StrictHostKeyChecking=accept-new") -> str:
    return run("deploy", f"ssh -o BatchMode=yes -o ConnectTimeout=3 {options} {machine} '{command}'", "ops").stdout.strip()


def test_hosts_have_systemd_and_docker_of_their_own_and_carry_the_marker(site: Site) -> None:
    assert run("web1", "systemctl is-system-running").stdout.strip() == "running"
    assert run("db1", "docker info -f '{{.Name}}'").stdout.strip() == "db1"
    assert run("db1", f"cat {rehearsal.MARKER}", "ops").stdout.startswith(f"{CLIENT}\n")


def test_the_deploy_node_is_bare_holds_the_key_the_medium_and_the_inventory_and_reaches_the_hosts(site: Site) -> None:
    assert run("deploy", "command -v docker pip pip3 ansible zstd openssl").stdout == ""
    assert run("deploy", "cat /media/usb/a-bundle", "ops").stdout == "carried in"
    assert (
        run("deploy", f"cat ~/inventories/{CLIENT}/hosts.yml; ls -A ~/inventories/{CLIENT}", "ops").stdout
        == HOSTS + "group_vars\nhosts.yml\n"
    )
    assert ssh("web1") == "web1"
    assert ssh("db1", "sudo -n id -u") == "0"


def test_what_was_handed_over_is_not_seen_on_a_host(site: Site) -> None:
    assert run("web1", "ls -A /rehearsal; find / -xdev -name id_ed25519").stdout == ""


def test_flows_are_open_and_all_else_is_shut_and_counted(site: Site) -> None:
    for machine, port in (("db1", 5432), ("db1", 6379), ("web1", 8443)):
        listen(machine, port)
    assert is_open("web1", DB, 5432)
    assert is_open("clients", WEB, 8443)
    assert "caller" in run("db1", f"exec 3<>/dev/tcp/{CRM}/443; printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3").stdout
    before = rehearsal.counts(CLIENT)
    assert [is_open("web1", DB, 6379), is_open("clients", DB, 5432), is_open("web1", DB, 22), is_open("web1", CRM, 443)] == [
        False
    ] * 4
    after = rehearsal.counts(CLIENT)
    assert after.dropped > before.dropped
    assert after.leak == before.leak
    assert rehearsal.Seen(WEB, DB, "tcp", 6379) in after.dropped_packets


def test_the_router_learns_a_releases_flows_later_and_connections_stay(site: Site) -> None:
    listen("db1", 7000)
    assert not is_open("web1", DB, 7000)
    rehearsal.update_router(site, [*FLOWS, HostFlow((f"{WEB}/32",), (DB,), 7000)])
    assert is_open("web1", DB, 7000)
    rehearsal.update_router(site, FLOWS)
    assert not is_open("web1", DB, 7000)
    assert ssh("db1") == "db1"


@pytest.mark.parametrize("machine", ["web1", "deploy", "clients"])
def test_there_is_no_way_out_and_who_tries_is_seen(site: Site, machine: str) -> None:
    before = rehearsal.counts(CLIENT).leak
    assert not is_open(machine, "192.0.2.1", 80)
    began = time.monotonic()
    assert run(machine, "getent hosts example.com").returncode != 0
    assert time.monotonic() - began < 5, "a lookup must fail at once"
    after = rehearsal.counts(CLIENT)
    assert after.leak > before
    assert "192.0.2.1" in {packet.target for packet in after.leak_packets}


def test_up_again_changes_nothing(site: Site) -> None:
    before = run("web1", "cat /proc/sys/kernel/random/boot_id").stdout
    said: list[str] = []
    rehearsal.up(site, say=said.append)
    assert said == []
    assert run("web1", "cat /proc/sys/kernel/random/boot_id").stdout == before


def test_a_power_cut_keeps_disks_and_gives_a_new_boot_id(site: Site) -> None:
    before = run("web1", "cat /proc/sys/kernel/random/boot_id; echo kept > /var/lib/kept; sync").stdout
    rehearsal.power_off(CLIENT, "web1")
    assert not ssh("web1")
    rehearsal.power_on(CLIENT, "web1")
    assert ssh("web1", "cat /var/lib/kept") == "kept"
    assert run("web1", "cat /proc/sys/kernel/random/boot_id").stdout != before


def test_a_cable_can_be_pulled_and_two_machines_parted(site: Site) -> None:
    rehearsal.cut_cable(CLIENT, "web1")
    assert not ssh("web1")
    rehearsal.plug(CLIENT, "web1")
    assert ssh("web1") == "web1"
    rehearsal.partition(CLIENT, "deploy", "web1")
    assert (ssh("web1"), ssh("db1")) == ("", "db1")
    rehearsal.heal(CLIENT)
    assert ssh("web1") == "web1"


def test_reset_gives_a_clean_site_with_the_same_host_keys(site: Site) -> None:
    assert ssh("db1") == "db1"
    run("db1", "echo dirt > /var/lib/docker/dirt; echo dirt > /etc/dirt")
    rehearsal.reset(site, deploy_node=False)
    assert run("db1", "ls /var/lib/docker/dirt /etc/dirt").stdout == ""
    assert ssh("db1", options="-o StrictHostKeyChecking=yes") == "db1"


def test_new_host_keys_are_another_machine_to_ssh(site: Site) -> None:
    assert ssh("db1") == "db1"
    rehearsal.reset(site, ["db1"], new_host_keys=True)
    assert not ssh("db1", options="-o StrictHostKeyChecking=yes")
    run("deploy", "ssh-keygen -R db1", "ops")


def test_a_host_can_have_a_small_disk_that_fills_up(site: Site) -> None:
    rehearsal.reset(site, ["web1"], disks={"web1": "64m"})
    assert "No space left" in run("web1", "dd if=/dev/zero of=/var/lib/docker/fill bs=1M count=100").stderr
    rehearsal.reset(site, ["web1"])
    assert run("web1", "fallocate -l 100M /var/lib/docker/fill").returncode == 0


def test_a_half_made_site_is_continued(site: Site) -> None:
    subprocess.run(["docker", "rm", "-f", naming.container(CLIENT, "db1"), naming.container(CLIENT, naming.ROUTER)], check=True)
    rehearsal.up(site)
    assert ssh("db1") == "db1"


def test_an_address_range_that_docker_has_given_out_is_refused(tmp_path: Path, site: Site) -> None:
    folder = tmp_path / "other"
    folder.mkdir()
    (folder / "hosts.yml").write_text(HOSTS)
    with pytest.raises(rehearsal.RehearsalImpossible, match=r'needs 10\.119\.10\.0/24; the Docker network "rh-small-dmz"'):
        rehearsal.up(load_site(folder))
    rehearsal.down("other", folder)
