"""Secrets: on the hosts for the service that needs them, and nowhere else. The site's real ones are the canaries."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest
import yaml

from deployctl import rehearsal
from places import ROOT, VAULT, Place, Vendor

pytestmark = pytest.mark.e2e
BUNDLE = "collector-1.0.0.bundle.tar"
FOLDER = "/var/lib/deployctl/collector/secrets/"
ANSIBLE_VAULT = f"/opt/deployctl/current/bin/ansible-vault {{}} {VAULT}"
OWNERS = {"nginx": 101, "api": 10001, "worker": 10001, "postgres": 999, "redis": 999}
HOLDS = {
    "nginx": {"tls_nginx"}, "api": {"postgres_password", "redis_password", "admin_api_key"},
    "worker": {"postgres_password", "redis_password"}, "postgres": {"postgres_password"}, "redis": {"redis_password"},
}  # fmt: skip
SEARCH = r"""
P=$(cat)  # the canaries come by stdin: they are in no argument, and in no file
found() { grep -raFls --devices=skip -f <(printf '%s\n' "$P") "$@"; }
found /boot /dev/shm /etc /home /media/usb/*.pub /mnt /opt /root /run /srv /tmp /usr/local /var
for process in /proc/[0-9]*; do
  found "$process/environ" "$process/cmdline"
done
hears() { grep -qaF -f <(printf '%s\n' "$P") && echo "$1"; }
journalctl --no-pager -o export 2>/dev/null | hears journal
command -v docker >/dev/null || exit 0
for id in $(docker ps -aq); do
  docker inspect "$id" | hears "inspect of $id"
  docker logs "$id" 2>&1 | hears "logs of $id"
  docker top "$id" | hears "processes of $id"
done
docker image ls -q | sort -u | xargs -r docker image inspect | hears images
true
"""


@pytest.fixture(scope="module")
def installed(acme: Place) -> Place:
    """The site with the product, which has worked a little."""
    acme.install(BUNDLE)
    acme.curl("https://web1:8443/health")
    return acme


def vault(place: Place, verb: str, before: str = "") -> str:
    """What ansible-vault says of the client's vault on the deploy node."""
    file = f"inventories/{place.client}/group_vars/all/vault.yml"
    return place.deploy(f"{before} {ANSIBLE_VAULT.format(verb)} {file}").stdout


@pytest.fixture(scope="module")
def secrets(installed: Place) -> dict[str, str]:
    """The site's secrets by name."""
    found: dict[str, dict[str, str]] = yaml.safe_load(vault(installed, "view"))
    return found["collector"]


@pytest.fixture(scope="module")
def canaries(installed: Place, secrets: dict[str, str]) -> str:
    """A line for each: passwords whole, of a private key a line from its middle, and the vault's own password."""
    key = secrets["tls_nginx"].partition("-----END PRIVATE KEY")[0].splitlines()[2]
    words = [
        secrets["postgres_password"],
        secrets["redis_password"],
        secrets["admin_api_key"],
        key,
        installed.deploy("cat vault-password").stdout.strip(),
    ]
    assert min(map(len, words)) >= 30
    return "\n".join(words)


def searched(place: Place, machine: str, canaries: str) -> set[str]:
    """Where on a machine a canary is found."""
    done = rehearsal.exec_in(place.client, machine, ["bash", "-c", SEARCH], given=canaries)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines())


def test_the_search_finds_what_is_planted(installed: Place, canaries: str) -> None:
    plant = 'read -r P; echo "x${P}y" > /var/tmp/planted; P=$P nohup sleep 60 >/dev/null 2>&1 & sleep 0.2; echo $!'
    pid = rehearsal.exec_in(installed.client, "app1", ["bash", "-c", f"read -r P; export P; {plant}"], given=canaries)
    try:
        found = searched(installed, "app1", canaries)
        assert "/var/tmp/planted" in found
        assert any(place.endswith("/environ") for place in found)
    finally:
        installed.on("app1", f"rm /var/tmp/planted; kill {pid.stdout.strip()}")


@pytest.mark.parametrize("host", ["web1", "app1", "app2", "db1"])
def test_a_host_holds_secrets_for_its_services_and_nowhere_else(installed: Place, canaries: str, host: str) -> None:
    found = searched(installed, host, canaries)
    assert found
    assert {place for place in found if not place.startswith(FOLDER)} == set()


def test_the_deploy_node_holds_them_encrypted_only(installed: Place, canaries: str) -> None:
    assert searched(installed, "deploy", canaries) == {"/home/ops/vault-password"}
    vault_yml = f"inventories/{installed.client}/group_vars/all/vault.yml"
    assert installed.deploy(f"head -c 14 {vault_yml}; stat -c ' %a' {vault_yml}").stdout == "$ANSIBLE_VAULT 600\n"


def test_neither_the_medium_nor_the_vendor_nor_the_product_knows_them(installed: Place, vendor: Vendor, canaries: str) -> None:
    where = [str(vendor.medium), str(vendor.home), str(installed.site.folder), str(ROOT / "app")]
    done = subprocess.run(["grep", "-raFlsf", "-", *where], input=canaries, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")


def test_each_file_is_its_service_s_alone(installed: Place) -> None:
    shown: list[str] = []
    for host in installed.site.targets:
        shown += installed.on(host.name, f"find {FOLDER} -type f -printf '%P %m %U %G\\n'").stdout.splitlines()
    for path, mode, uid, gid in map(str.split, shown):
        service, _, name = path.split("/")
        assert (mode, int(uid), int(gid)) == ("400", OWNERS[service], OWNERS[service])
        assert name in HOLDS[service]
    assert len(shown) == 1 + 2 * (3 + 2) + 2


def test_a_service_sees_its_own_and_no_other(installed: Place) -> None:
    for name, holds in HOLDS.items():
        host = next(one.rpartition("/") for one in installed.containers() if f"-{name}-" in one)
        script = f"docker exec {host[2]} sh -c 'cd /run/secrets && ls && head -qc1 * | wc -c'"
        *seen, read = installed.on(host[0], script).stdout.split()
        assert (set(seen), int(read)) == (holds, len(holds))


def test_a_rotated_secret_arrives_and_touches_its_service_only(installed: Place, secrets: dict[str, str]) -> None:
    certificate = ["-o", "/dev/null", "-w", "%{certs}"]
    before, shown = installed.containers(), installed.curl("https://web1:8443/health", *certificate)
    vault(installed, "edit", """EDITOR="sed -i '/^  tls_nginx:/,/^  [^ ]*:/{/^  tls_nginx:/d;/^    /d;/^$/d}'" """)
    installed.deploy(f"deployctl secrets generate --client {installed.client} {VAULT} /media/usb/{BUNDLE}")
    again: dict[str, str] = yaml.safe_load(vault(installed, "view"))["collector"]
    assert {name for name in secrets if secrets[name] != again[name]} == {"tls_nginx"}
    report: dict[str, Any] = installed.installed(BUNDLE)
    assert (report["changed"], report["bytes"]) == (["web1"], 0)
    after = installed.containers()
    assert {name for name in before if before[name] != after[name]} == {"web1/collector-nginx-1"}
    assert installed.curl("https://web1:8443/health", *certificate) != shown
    old = secrets["tls_nginx"].splitlines()[2]
    assert searched(installed, "web1", old) == set()
