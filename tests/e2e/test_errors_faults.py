"""Machines, networks and people that fail on the way: each is told by its name, in time, and the same command ends well.

The tests follow each other: what is refused on a clean site, what breaks a first install, the install, what comes after it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from deployctl import rehearsal
from deployctl.apply.lease import TTL
from deployctl.commands.exits import Exit
from places import USB, VAULT, Done, Vendor
from shops import GOOD, Shop, complains, project

pytestmark = pytest.mark.e2e
LATER = "import time; time.time = lambda now=time.time: now() + 10800"
UNIT = "/etc/systemd/system/deployctl-network.service.d"


@pytest.fixture(scope="module", autouse=True)
def secrets(shop: Shop) -> None:
    shop.place.deploy(f"deployctl secrets generate --client {shop.place.client} {VAULT} {USB}/{GOOD}")


@pytest.fixture(scope="module")
def odd(shop: Shop) -> Done:
    """An install on hosts each of which has an oddity or two. The clock is shifted for what the agent reads."""
    place = shop.place
    shop.hang_up()
    place.on("web1", f"echo '{LATER}' > /usr/lib/python3/dist-packages/later.pth; nft flush ruleset;"
             " mv /usr/sbin/nft /root/;"
             " ip route add 172.30.0.0/16 dev eth0")  # fmt: skip
    place.on("app1", "mv /usr/bin/python3 /root/")
    place.on("app2", "systemctl stop ssh.socket ssh 2>/dev/null; true")
    place.on("db1", "mkdir -p /var/lib/deployctl/shop; echo '{' > /var/lib/deployctl/shop/lock.json")
    done = shop.install()
    place.on("web1", "rm /usr/lib/python3/dist-packages/later.pth; mv /root/nft /usr/sbin/; ip route del 172.30.0.0/16;"
             " systemctl restart docker")  # fmt: skip
    place.on("app1", "mv /root/python3 /usr/bin/")
    place.on("app2", "systemctl start ssh")
    place.on("db1", "rm -r /var/lib/deployctl/shop")
    return done


@pytest.mark.parametrize(
    "words",
    [
        ("web1: its clock is 108", "ahead of", "[clock-skewed]"),
        ("web1: no nftables", "[host-tool-missing]"),
        ("web1: 172.30.0.0/16 is in use", "[pool-taken]"),
        ("web1: Docker's own iptables rules are gone", "[engine-rules-gone]"),
        ("app1: no python3", "[no-python]"),
        ("app2: ", "refused the connection", "[ssh-refused]"),
        ("db1: ", "lock.json is not JSON", "[agent-failed]"),
        ("to mend before anything changes [preflight-failed]",),
    ],
    ids=["clock", "tool", "pool", "rules", "python", "sshd", "damaged", "one-list"],
)
def test_what_is_odd_at_hosts_is_told_with_its_code(odd: Done, words: tuple[str, ...]) -> None:
    complains(odd, Exit.SITE, *words)


@pytest.mark.full
def test_a_network_that_eats_large_packets_is_told_in_time(shop: Shop) -> None:
    shop.hang_up()
    hole = "nft add table inet hole; nft add chain inet hole out '{ type filter hook output priority 0; }'"
    shop.place.on("db1", f"{hole}; nft add rule inet hole out meta length gt 700 drop")
    began = time.monotonic()
    done = shop.install()
    seconds = time.monotonic() - began
    shop.place.on("db1", "nft delete table inet hole")
    complains(done, Exit.SITE, "db1: ", "does not answer as SSH does", "ping -M do", "[ssh-silent]")
    assert seconds < 90, seconds


def test_a_home_that_cannot_be_written_is_told_by_its_path(shop: Shop) -> None:
    shop.place.on("deploy", "mount --bind /home/ops /home/ops && mount -o remount,ro,bind /home/ops")
    try:
        done = shop.install()
    finally:
        shop.place.on("deploy", "umount -l /home/ops")
    complains(done, Exit.INPUT, "/home/ops/", "Read-only file system", "[file-unusable]")


def test_a_host_whose_disk_fills_while_images_arrive(shop: Shop) -> None:
    place = shop.place
    rehearsal.reset(place.site, ["db1"], deploy_node=False, disks={"db1": "700m"})
    shop.hang_up()
    with shop.slow_wire(), ThreadPoolExecutor(1) as pool:
        place.deploy("rm -f now")
        job = pool.submit(shop.broken, "Load what is missing", "touch now")
        place.deploy("until [ -e now ]; do sleep 0.1; done")
        place.on(
            "db1", "fallocate -l 2G /var/lib/docker/full || dd if=/dev/zero of=/var/lib/docker/full bs=1M || true", check=False
        )
        done = job.result()
    place.reset("db1")
    complains(
        done,
        Exit.SITE,
        "db1: Load what is missing: ",
        "free in /var/lib/docker: ",
        " of 700M",
        "[image-not-loaded]",
        "the whole log: ",
    )
    assert (shop.running(), shop.locked() - {"db1"}) == (set(), set())


@pytest.mark.parametrize(("signal", "word"), [("TERM", "Load what is missing"), ("HUP", "Apply the archive")])
def test_a_signal_ends_a_run_as_ctrl_c_does(shop: Shop, signal: str, word: str) -> None:
    with shop.slow_wire():
        done = shop.broken(word, f"kill -{signal} -- -$!")
    complains(done, Exit.INTERRUPTED, "interrupted at: ", "[interrupted]", "the whole log: ")
    assert (shop.locked(), shop.at_work()) == (set(), "")
    assert set(shop.records().values()) == {""}


def test_images_that_somebody_prunes_before_the_start_are_told_and_come_again(shop: Shop) -> None:
    prune = "[Service]\\nExecReload=/usr/bin/docker image prune -af\\nExecStartPost=/usr/bin/docker image prune -af\\n"
    shop.place.on("app2", f"mkdir -p {UNIT}; printf '{prune}' > {UNIT}/prune.conf")
    done = shop.install()
    shop.place.on("app2", f"rm -r {UNIT}; systemctl daemon-reload")
    complains(done, Exit.SITE, "app2: Start and wait until healthy: ", "No such image", "[services-not-started]")


def test_status_says_that_an_install_did_not_end(shop: Shop) -> None:
    said = shop.place.status().stderr
    assert "the last install (1.0.0" in said and "failed; run it again" in said and ".log" in said


@pytest.fixture
def far(shop: Shop) -> Iterator[str]:
    """The same inventories below a path that scripts stumble over."""
    shop.place.deploy("cp -a inventories 'Süd Kunden'")
    yield "'Süd Kunden'"
    shop.place.deploy("rm -rf inventories; mv 'Süd Kunden' inventories")


def test_a_path_with_an_umlaut_and_a_space_is_a_path(shop: Shop, far: str) -> None:
    client = shop.place.client
    done = shop.place.deploy(f"deployctl install --client {client} --inventories {far} {VAULT} {USB}/{GOOD}", check=False)
    assert done.returncode == Exit.DONE, done.stdout + done.stderr
    assert set(shop.records().values()) == {"1.0.0"}


def test_what_was_stopped_and_lost_its_networks_is_made_again_beside_a_bridge_left_behind(shop: Shop) -> None:
    bridge = "ip link add dc-left type bridge; ip address add 172.30.4.225/28 dev dc-left; ip link set dc-left up"
    shop.place.on("app1", f"cd /etc/deployctl/shop; docker compose stop; docker network prune -f; {bridge}")
    done = shop.install()
    shop.place.on("app1", "ip link delete dc-left")
    assert done.returncode == Exit.DONE, done.stdout + done.stderr
    assert "its network was removed" in done.stdout + done.stderr and "healthy" in done.stdout


def test_an_older_release_than_the_installed_is_refused_unless_it_is_meant(
    shop: Shop, vendor: Vendor, tmp_path_factory: pytest.TempPathFactory
) -> None:
    vendor.bundle(project(tmp_path_factory.mktemp("old") / "old", "0.9.0"))
    before = shop.state()
    complains(shop.install("shop-0.9.0.bundle.tar"), Exit.INPUT, "shop 1.0.0 is installed, newer", "[older-release]", "--older")
    assert shop.state() == before


def test_a_narrow_terminal_takes_nothing_away(shop: Shop) -> None:
    words = f"stty cols 60; deployctl status --client {shop.place.client}; deployctl install --help"
    said = shop.place.deploy(f'script -qec "{words}" /dev/null < /dev/null').stdout
    assert "Traceback" not in said
    assert all(word in said for word in ("web1", "front", "--vault-password-file", "healthy"))


def test_a_service_that_crashes_again_and_again_without_a_healthcheck_is_ill(
    shop: Shop, vendor: Vendor, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = project(
        tmp_path_factory.mktemp("loop") / "loop", "1.3.0", app="[sh, -c, 'echo the drawer sticks; sleep 1; exit 3']"
    )
    text = (folder / "compose.yaml").read_text()
    check = '    healthcheck: {test: [CMD, redis-cli, -p, "8000", ping], interval: 1s, retries: 5}\n'
    assert check in text
    (folder / "compose.yaml").write_text(text.replace(check, ""))
    vendor.bundle(folder)
    done = shop.install("shop-1.3.0.bundle.tar")
    assert done.returncode == Exit.UNHEALTHY, done.stdout + done.stderr
    assert shop.install(f"{GOOD} --older").returncode == Exit.DONE


@pytest.mark.full
def test_a_host_that_is_cut_off_while_services_start_is_noticed_within_a_minute(shop: Shop) -> None:
    place = shop.place
    place.on("db1", "docker compose -p shop stop")
    with ThreadPoolExecutor(1) as pool:
        place.deploy("rm -f now")
        job = pool.submit(shop.broken, "Start and wait until healthy", "touch now")
        place.deploy("until [ -e now ]; do sleep 0.1; done")
        rehearsal.partition(place.client, "db1", "deploy")
        began = time.monotonic()
        done = job.result()
        seconds = time.monotonic() - began
    rehearsal.heal(place.client)
    complains(done, Exit.SITE, "db1: ", "[host-lost]", "the whole log: ")
    assert seconds < TTL + 60, seconds


PHASES = (
    "hosts to change",
    "Load what is missing",
    "Apply the archive",
    "Load the rules",
    "Start and wait",
    "Write the record",
)


@pytest.mark.full
@pytest.mark.parametrize("word", PHASES)
def test_a_host_that_is_lost_at_any_phase_is_told_and_the_same_command_ends_well(shop: Shop, word: str) -> None:
    place = shop.place
    place.reset("db1")
    shop.hang_up()
    with ThreadPoolExecutor(1) as pool:
        place.deploy("rm -f now")
        job = pool.submit(shop.broken, word, "touch now")
        place.deploy("until [ -e now ]; do sleep 0.05; done")
        rehearsal.partition(place.client, "db1", "deploy")
        done = job.result()
    rehearsal.heal(place.client)
    shop.hang_up()
    if done.returncode != Exit.DONE:  # the last phases may be over before the cable is out
        complains(done, Exit.SITE, "db1: ")
    time.sleep(TTL + 1)
    assert shop.install().returncode == Exit.DONE
    assert set(shop.records().values()) == {"1.0.0"}
