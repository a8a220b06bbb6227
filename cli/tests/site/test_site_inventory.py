"""The inventory as Ansible reads it: hosts, segments, addresses, and what cannot be meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploybundle.errors import InputError, Several
from deployctl.site import Site, inventory_view, load_site
from deployctl.site.inventory import InventoryInvalid, NoSuchClient
from deployctl.site.view import VAULT_HEADER

HOSTS = """
all:
  vars: {ansible_user: ops}
  children:
    dmz: {hosts: {web1: {ansible_host: 10.77.10.11, ansible_port: 2222}}}
    internal: {hosts: {"app[1:2]": {}}}
    management: {hosts: {deploy: {ansible_host: 10.77.40.10, ansible_connection: local}}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An inventory folder with everything that may lie in one."""
    folder = tmp_path / "acme"
    (folder / "group_vars/all").mkdir(parents=True)
    (folder / "hosts.yml").write_text(HOSTS)
    (folder / "host_vars").mkdir()
    (folder / "host_vars/app1.yml").write_text("ansible_host: 10.77.20.11")
    (folder / "host_vars/app2.yml").write_text("ansible_host: 10.77.20.12")
    (folder / "group_vars/all/client.yml").write_text("title: Acme\nsegments: {dmz: {cidr: 10.77.0.0/20}}\n")
    (folder / "group_vars/all/vault.yml").write_bytes(VAULT_HEADER + b"1.1;AES256\n3031\n")
    (folder / "known_hosts").write_text("app1 ssh-ed25519 AAAA\n")
    (folder / ".site").mkdir()
    (folder / "README.md").write_text("about this client")
    return folder


def test_ranges_host_vars_and_group_vars_mean_what_they_mean_to_ansible_and_no_password_is_asked(folder: Path) -> None:
    site = load_site(folder)
    assert {host.name: (host.address, host.segment) for host in site.hosts.values()} == {
        "web1": ("10.77.10.11", "dmz"), "app1": ("10.77.20.11", "internal"),
        "app2": ("10.77.20.12", "internal"), "deploy": ("10.77.40.10", "management"),
    }  # fmt: skip
    assert site.hosts["web1"].variables["ansible_port"] == 2222
    assert (site.name, site.client.title) == ("acme", "Acme")
    assert_site(site)


def assert_site(site: Site) -> None:
    """What a site knows of itself."""
    assert site.deploy_node is site.hosts["deploy"] and site.deploy_node.local
    assert {host.name for host in site.targets} == {"web1", "app1", "app2"}
    assert site.segment_cidr("dmz") == "10.77.0.0/20"
    assert site.segment_cidr("internal") == "10.77.20.0/24"
    assert site.known_hosts == site.folder / "known_hosts"


def test_ansible_sees_neither_the_vault_nor_what_is_ours(folder: Path, tmp_path: Path) -> None:
    view = inventory_view(folder, tmp_path / "view")
    seen = sorted(str(path.relative_to(view)) for path in view.rglob("*") if path.is_file())
    assert seen == ["group_vars/all/client.yml", "host_vars/app1.yml", "host_vars/app2.yml", "hosts.yml"]


@pytest.mark.parametrize(
    ("hosts", "says"),
    [
        ("all: {children: {dmz: {hosts: {web1: {}}}}}", r"hosts\.yml: web1\.ansible_host: expected an IPv4 .*, got 'web1'"),
        (
            "all: {children: {dmz: {hosts: {a: {ansible_host: '::1'}, b: {ansible_host: 10.1.1}}}}}",
            r"a\.ansible_host: .*'::1'\n.*b\.ansible_host: .*'10\.1\.1'",
        ),
        ("all: {children: {dmz: {}}}", r"hosts\.yml: names no host"),
        ("all: {children: [dmz", r"acme: Ansible cannot read it: "),
        (
            "all: {children: {dmz: {hosts: {a: {ansible_host: 10.1.1.1}, b: {ansible_host: 10.1.1.1}}}}}",
            r"hosts\.yml: b\.ansible_host: 10\.1\.1\.1 is a's already",
        ),
        (
            "dmz:\n  hosts:\n    a: {ansible_host: 10.1.1.1}\n    b: {ansible_host: 10.1.1.2}\n    a: {}\n",
            r"""hosts\.yml:5: "a" stands twice, first in line 3""",
        ),
        ("dmz: {hosts: {a: {ansible_hots: 10.1.1.1}}}", r"a\.ansible_hots: Ansible knows no such variable"),
        (
            "dmz: {hosts: {a: {ansible_host: 10.1.1.1}}}\nmanagment: {hosts: {d: {ansible_host: 10.1.2.1}}}",
            r"hosts\.yml: managment: is nearly the group of the deploy node",
        ),
    ],
)  # fmt: skip
def test_an_inventory_that_cannot_be_meant_is_refused(hosts: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "acme").mkdir()
    (tmp_path / "acme/hosts.yml").write_text(hosts)
    with pytest.raises(InventoryInvalid, match=says) as caught:
        load_site(tmp_path / "acme")
    assert "/tmp/deployctl-" not in str(caught.value)


def test_an_answer_about_a_segment_without_hosts_is_refused_with_the_nearest(folder: Path) -> None:
    client = folder / "group_vars/all/client.yml"
    client.write_text("segments: {dnz: {cidr: 10.77.10.0/24}}")
    with pytest.raises(InventoryInvalid) as caught:
        load_site(folder)
    assert str(caught.value) == f"{client}: segments.dnz: no host stands in that segment"
    assert caught.value.hint == 'did you mean "dmz"?'


def test_a_segment_that_does_not_hold_its_hosts_is_refused(folder: Path) -> None:
    (folder / "group_vars/all/client.yml").write_text("segments: {dmz: {cidr: 10.99.10.0/24}}")
    with pytest.raises(InventoryInvalid, match=r"segments\.dmz\.cidr: web1 has .*, which is not in 10\.99\.10\.0/24"):
        load_site(folder)


def test_what_is_wrong_in_several_files_comes_at_once(folder: Path) -> None:
    (folder / "group_vars/all/client.yml").write_text("titel: Acme")
    hosts = folder / "hosts.yml"
    hosts.write_text(hosts.read_text().replace("ansible_host", "ansible_hots", 1))
    with pytest.raises(Several) as caught:
        load_site(folder)
    assert {one.code for one in caught.value.problems} == {"client-invalid", "inventory-invalid"}


def test_a_client_that_is_not_there_is_refused_with_the_nearest(folder: Path) -> None:
    with pytest.raises(NoSuchClient) as caught:
        load_site(folder.parent / "acne")
    assert str(caught.value) == f'{folder.parent / "acne"}: no inventory for client "acne"'
    assert caught.value.hint == 'did you mean "acme"?'


def test_the_first_client_is_told_how_to_begin(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        load_site(tmp_path / "inventories" / "acme")
    assert caught.value.hint == "`deployctl client new acme` writes one"


def test_no_vault_password_of_the_environment_is_used(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANSIBLE_VAULT_PASSWORD_FILE", "/nonexistent")
    assert load_site(folder).hosts
