"""How machines are made: docker's arguments."""

from pathlib import Path

import pytest

from deployctl.rehearsal import Machine, RehearsalImpossible, Topology, topology
from deployctl.rehearsal.images import build_argv, tags
from deployctl.rehearsal.limits import enough_instances
from deployctl.rehearsal.machines import Making, disk_argv, machine_argv, machine_spec, network_argv, router_argv
from deployctl.rehearsal.state import sshd
from deployctl.site import ClientSettings, Host, Site

MAKING = Making({"bare": "bare:1", "host": "host:1", "net": "net:1"}, Path("/media/stick"))


@pytest.fixture
def plan() -> Topology:
    hosts = {"app1": Host("app1", "10.1.1.5", "x", {}), "deploy": Host("deploy", "10.1.2.5", "management", {})}
    client = ClientSettings.model_validate({"externals": {"crm": {"address": "10.1.3.5"}}})
    return topology(Site("acme", Path("/srv/acme"), hosts, client))


def words(argv: list[str]) -> str:
    return f" {' '.join(argv)} "


def test_everything_carries_the_clients_label_and_name(plan: Topology) -> None:
    made = [machine_argv(plan, machine, MAKING) for machine in plan.machines]
    made += [router_argv(plan, MAKING), network_argv(plan, plan.networks[0])]
    assert all(" --label dev.deployctl.rehearsal=acme " in words(argv) and "rh-acme-" in words(argv) for argv in made)


def test_a_host_has_its_address_and_disks_and_cannot_touch_the_real_clock(plan: Topology) -> None:
    argv = words(machine_argv(plan, plan.machine("app1"), MAKING))
    assert " --network rh-acme-x --ip 10.1.1.5 " in argv
    assert " -v rh-acme-app1-docker:/var/lib/docker " in argv
    assert " --cap-drop SYS_TIME " in argv


def test_the_deploy_node_is_bare_sees_the_medium_read_only_and_knows_the_hosts(plan: Topology) -> None:
    argv = words(machine_argv(plan, plan.machine("deploy"), MAKING))
    assert argv.endswith(" bare:1 ")
    assert " -v /media/stick:/media/usb:ro " in argv
    assert " --add-host app1:10.1.1.5 " in argv


def test_the_bridge_has_no_address_of_the_real_machine_and_no_masquerading(plan: Topology) -> None:
    argv = words(network_argv(plan, plan.networks[0]))
    assert "bridge.inhibit_ipv4=true" in argv
    assert "bridge.enable_ip_masquerade=false" in argv


def test_a_machine_made_from_another_image_has_another_spec_and_one_with_a_small_disk_has_not(plan: Topology) -> None:
    host: Machine = plan.machine("app1")
    same = Making(MAKING.images, MAKING.medium, disks=(("app1", "300m"),))
    other = Making({**MAKING.images, "host": "host:2"}, MAKING.medium)
    assert machine_spec(plan, host, MAKING) == machine_spec(plan, host, same) != machine_spec(plan, host, other)


def test_a_small_disk_is_a_volume_with_a_size(plan: Topology) -> None:
    assert " o=size=300m " in words(disk_argv(plan, plan.machine("app1"), "docker", "300m"))
    assert " --opt " not in words(disk_argv(plan, plan.machine("app1"), "docker", None))


def test_sshd_is_hardened_for_the_inventorys_user(plan: Topology) -> None:
    settings = sshd(plan.machine("app1"))
    assert "AllowUsers ops\n" in settings
    assert "PermitRootLogin no\n" in settings
    assert "AllowTcpForwarding no\n" in settings


def test_an_edit_of_a_context_gives_new_tags_to_its_image_and_those_built_on_it(tmp_path: Path) -> None:
    for name in ("base", "bare", "host", "net"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "Dockerfile").write_text("FROM x")
    before = tags(tmp_path)
    (tmp_path / "base" / "Dockerfile").write_text("FROM y")
    after = tags(tmp_path)
    assert (before["base"] != after["base"], before["host"] != after["host"], before["net"] == after["net"]) == (
        True,
        True,
        True,
    )


def test_images_are_built_on_the_machines_own_network() -> None:
    assert build_argv(Path("/x"), "host:1", "base:1") == [
        "build", "-q", "--network", "host", "--build-arg", "BASE=base:1", "-t", "host:1", "/x",
    ]  # fmt: skip


def test_more_machines_than_the_kernel_lets_watch_files_are_refused_with_the_line_that_helps(tmp_path: Path) -> None:
    hosts = {f"h{number}": Host(f"h{number}", f"10.1.1.{number}", "x", {}) for number in range(10, 32)}
    many = topology(Site("big", tmp_path, hosts, ClientSettings()))
    limit = tmp_path / "max_user_instances"
    limit.write_text("128\n")
    with pytest.raises(RehearsalImpossible, match="22 machines need 154 inotify instances, .* gives a user 128") as caught:
        enough_instances(many, limit)
    assert caught.value.hint == "sysctl -w fs.inotify.max_user_instances=1024"
    limit.write_text("1024\n")
    enough_instances(many, limit)
    enough_instances(many, tmp_path / "elsewhere")
