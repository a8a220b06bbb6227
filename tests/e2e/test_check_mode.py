"""`ansible-playbook --check --diff` of every playbook: it tells, changes nothing, and shows no secret."""

from __future__ import annotations

import re

import pytest
import yaml

from places import ROOT, USB, VAULT, Done, Place

pytestmark = pytest.mark.e2e
OLD, NEW = "collector-1.0.0.bundle.tar", "collector-1.1.0.bundle.tar"
HOME = "/opt/deployctl/current"
PLAYBOOKS = sorted({path.name for path in (ROOT / "playbooks").glob("*.yml")} - {"remove.yml"})
"""`remove.yml` runs for `deployctl remove` alone, which shows what would go and asks; by itself it does nothing."""
LEFT_OUT = [
    "/dev",
    "/proc",
    "/run",
    "/sys",
    "/tmp",
    "/var/cache",
    "/var/log",
    *(f"/var/lib/{name}" for name in ("containerd", "docker", "systemd")),
]
SNAPSHOT = f"""
find / \\( {" -o ".join(f"-path {path}" for path in LEFT_OUT)} \\) -prune -o ! -type d -printf '%p %m %U:%G %s %l %T@\\n' \
  -o -printf '%p %m %U:%G\\n' | sort
ls -d /run/deployctl* /tmp/* 2>/dev/null | grep -v '^/tmp/runc-process'  # of health checks, for a moment
docker ps -a --no-trunc --format '{{{{.ID}}}} {{{{.Names}}}} {{{{.State}}}}' | sort
docker ps -aq | xargs -r docker inspect -f '{{{{.State.StartedAt}}}}'
docker image ls --no-trunc --format '{{{{.ID}}}} {{{{.Tag}}}}' | sort; docker volume ls -q; docker network ls -q
nft -s list ruleset; iptables-save | sed 's/^#.*//; s/\\[[0-9:]*\\]//'
systemctl list-unit-files --state=enabled --no-legend; systemctl show -p ActiveEnterTimestamp deployctl-network docker nftables
"""


def checked(place: Place, playbook: str, bundle: str) -> Done:
    """What a playbook says in check mode, at its most talkative; nothing on the host or in the journal is another after it."""
    before = place.on("srv1", SNAPSHOT).stdout, runs(place)
    done = place.deploy(
        f"ANSIBLE_VAULT_PASSWORD_FILE=vault-password {HOME}/bin/ansible-playbook {HOME}/playbooks/{playbook}"
        f" -i inventories/{place.client} -e deployctl_bundle={USB}/{bundle} --check --diff -vvv",
    )
    assert set(place.on("srv1", SNAPSHOT).stdout.splitlines()) ^ set(before[0].splitlines()) == set()
    assert runs(place) == before[1]
    assert place.deploy("ls /dev/shm").stdout == ""
    assert [secret for secret in secrets(place) if secret in done.stdout + done.stderr] == []
    return done


def runs(place: Place) -> str:
    """The deploy node's journal, if there is one."""
    return place.deploy(f"sha256sum inventories/{place.client}/.site/journal.sqlite 2>/dev/null; true").stdout


def secrets(place: Place) -> list[str]:
    """The site's secrets: passwords whole, and each line of a private key."""
    shown = place.deploy(f"{HOME}/bin/ansible-vault view {VAULT} inventories/{place.client}/group_vars/all/vault.yml").stdout
    found: dict[str, str | dict[str, str]] = yaml.safe_load(shown)
    values = [text for one in found.values() for text in (one.values() if isinstance(one, dict) else [one])]
    return [line for value in values for line in value.splitlines() if len(line) > 20 and "CERTIFICATE" not in line]


def changed(done: Done) -> int:
    """How many tasks would change the host, by Ansible's recap."""
    found = re.search(r"^srv1 +: ok=.* changed=(\d+) ", done.stdout, re.MULTILINE)
    return int(found[1]) if found else 0


@pytest.fixture(scope="module")
def bare(globex: Place) -> Place:
    """A host that nothing was installed on."""
    globex.reset()
    return globex


@pytest.fixture(scope="module")
def installed(bare: Place) -> Place:
    """The product on it."""
    bare.install(OLD)
    return bare


@pytest.mark.parametrize("playbook", PLAYBOOKS)
def test_on_a_bare_host(bare: Place, playbook: str) -> None:
    done = checked(bare, playbook, OLD)
    if playbook == "install.yml":
        assert changed(done) >= 4  # images, files, network, services, record
        shown = [line.split()[2] for line in done.stdout.splitlines() if line.startswith("+++ after: ")]
        assert [path for path in shown if path.endswith("/compose.yaml")]
        assert [path for path in shown if "/secrets/" in path]
        assert "+deployctl put products on this host." in done.stdout  # what everybody may read is shown


@pytest.mark.parametrize("playbook", PLAYBOOKS)
def test_with_a_newer_release_and_after_drift(installed: Place, playbook: str) -> None:
    installed.on("srv1", "docker stop -t 5 collector-worker-1; echo '# by hand' >> /etc/deployctl/collector/config/nginx.conf")
    installed.on("srv1", "find /var/lib/deployctl/collector/secrets/api -type f -exec sh -c 'echo drifted > $0' {} ';'")
    done = checked(installed, playbook, NEW)
    if playbook == "install.yml":
        assert changed(done) >= 3
        assert "-# by hand" in done.stdout


def test_where_there_is_nothing_to_do(installed: Place) -> None:
    installed.install(NEW)
    assert changed(checked(installed, "install.yml", NEW)) == 0
