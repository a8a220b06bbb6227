"""What goes wrong at a site: refused before anything changes, or broken off so that the same command ends well afterwards.

The tests follow each other: a run is killed on a clean
site; while its lease runs out comes all that is refused; then what breaks a first install; at last upgrades.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from deployctl import rehearsal
from deployctl.apply.lease import TTL
from deployctl.commands.exits import Exit
from places import USB, VAULT, Done
from shops import GOOD, SICK, STUCK, Shop, complains

pytestmark = pytest.mark.e2e


@pytest.fixture
def untouched(shop: Shop) -> Iterator[None]:
    """No host is other than before."""
    before = shop.state()
    yield
    assert shop.state() == before


# refused, by what the client says ------------------------------------------------------------------------------------


def test_a_secret_that_nobody_made_is_named(shop: Shop, untouched: None) -> None:
    complains(shop.install(), Exit.INPUT, "vault.yml: no value for till", "deployctl secrets generate")
    shop.place.deploy(f"deployctl secrets generate --client {shop.place.client} {VAULT} {USB}/{GOOD}")


@pytest.fixture(scope="module")
def killed(shop: Shop) -> float:
    """A run that was killed while it started services, and when."""
    done = shop.broken("Start and wait until healthy", "kill -KILL -- -$!")
    assert done.returncode == 137, done.stderr
    return time.monotonic()


def test_a_killed_run_holds_the_lock_for_a_while_and_nothing_of_it_goes_on(shop: Shop, killed: float) -> None:
    words = ("ops@deploy has been changing this host since 20", "lease until 20", "a dead run's lease runs out")
    complains(shop.install(), Exit.LOCKED, *words)
    assert "ansible" not in shop.at_work()
    assert set(shop.records().values()) == {""}


@pytest.mark.parametrize(
    ("added", "words"),
    [
        ("placed: {front: dmz}", ("client.yml:", "placed: unknown key", 'did you mean "place"?')),
        ("place: {front: dmx}", ("client.yml", 'neither a segment nor a host is called "dmx"', 'did you mean "dmz"?')),
        ("place: {frnt: dmz}", ('place.frnt: no service "frnt"', 'did you mean "front"?')),
        ("ports: {front: {8443: high}}", ("ports.front[8443]: expected a whole number", "'high'")),
        ("settings: [", ("client.yml: is not YAML", "line")),
    ],
    ids=["key", "segment", "service", "type", "syntax"],
)
def test_what_client_yml_cannot_mean_is_refused(shop: Shop, untouched: None, added: str, words: tuple[str, ...]) -> None:
    shop.place.deploy(f"cp {shop.settings} kept; echo '{added}' >> {shop.settings}")
    done = shop.install()
    shop.place.deploy(f"mv kept {shop.settings}")
    complains(done, Exit.INPUT, *words)


def test_a_client_or_a_password_that_is_not_right(shop: Shop, untouched: None) -> None:
    client, rest = shop.place.client, f"{USB}/{GOOD} < /dev/null"
    cases = {
        f"acmee-e2e {VAULT}": ('no inventory for client "acmee-e2e"', f'did you mean "{client}"?'),
        f"{client} --vault-password-file wrong": ("does not open it", "vault.yml", "--vault-password-file"),
        client: ("no vault password", "--vault-password-file"),
    }
    shop.place.deploy("echo wrong > wrong")
    for words, said in cases.items():
        complains(shop.place.deploy(f"deployctl install --client {words} {rest}", check=False), Exit.INPUT, *said)


# refused, by what the hosts are --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ill(shop: Shop) -> Done:
    """An install where every host has a problem of its own."""
    place, before = shop.place, shop.state()
    shop.hang_up()
    place.on("app1", "systemctl stop docker docker.socket")
    place.on("app2", "mv /etc/sudoers.d/rehearsal /root/")
    place.on("db1", "mv /home/ops/.ssh/authorized_keys /root/")
    rehearsal.cut_cable(place.client, "web1")
    done = shop.install()
    rehearsal.plug(place.client, "web1")
    place.on("app1", "systemctl start docker.socket docker")
    place.on("app2", "mv /root/rehearsal /etc/sudoers.d/")
    place.on("db1", "mv /root/authorized_keys /home/ops/.ssh/")
    assert shop.state() == before
    return done


@pytest.mark.parametrize(
    "words",
    [
        ("4 to mend before anything changes",),
        ("web1: ", ".10.11 port 22: ", "is the machine on", "[host-unreachable]"),
        ("app1: no Docker engine", "is not replaced: start it", "[no-docker]"),
        ("app2: sudo refused ops", "NOPASSWD"),
        ("db1: sshd refused ops@", "authorized_keys"),
    ],
    ids=["all", "unreachable", "no-docker", "no-sudo", "no-login"],
)
def test_all_that_is_wrong_with_the_hosts_is_one_list(ill: Done, words: tuple[str, ...]) -> None:
    complains(ill, Exit.SITE, *words)


@pytest.fixture(scope="module")
def unfit(shop: Shop) -> Done:
    """An install on one host that is new and one that nobody knows; a third is too small, its port taken, without Compose."""
    place = shop.place
    rehearsal.reset(place.site, ["db1"], deploy_node=False, new_host_keys=True)
    rehearsal.reset(place.site, ["web1"], deploy_node=False, disks={"web1": "64m"})
    shop.hang_up()
    known = f"inventories/{place.client}/known_hosts"
    address = place.site.hosts["app1"].address
    place.deploy(f"cp {known} kept; grep -v '^{address} ' kept > {known}")
    place.on("web1", "setsid python3 -m http.server 8443 >/dev/null 2>&1 </dev/null & for p in /usr/*/docker/cli-plugins; do"
             " mv $p/docker-compose $p/away; done; until bash -c '</dev/tcp/127.0.0.1/8443'; do sleep 0.1; done")  # fmt: skip
    before = shop.state()
    done = shop.install()
    assert shop.state() == before
    place.deploy(f"mv kept {known}")
    place.reset("web1")
    return done


@pytest.mark.parametrize(
    "words",
    [
        ("db1: the host key is another one: pinned ssh-ed25519 SHA256:", "got ssh-ed25519 SHA256:", "trust hosts --replace"),
        ("app1: no host key is pinned; the host shows ssh-ed25519 SHA256:", "deployctl trust hosts"),
        ("web1: too little disk in /var/lib/docker: 64 MiB free", "MiB needed", "free "),
        ("web1: port 8443/tcp is in use", "client.yml: ports"),
        ("web1: no `docker compose`", "its plugin is gone: apt-get install --reinstall docker-compose"),
    ],
    ids=["other-key", "unknown-key", "disk", "port", "no-compose"],
)
def test_hosts_that_are_not_fit(unfit: Done, words: tuple[str, ...]) -> None:
    complains(unfit, Exit.SITE, *words)


def test_another_host_key_is_pinned_only_if_a_person_says_so(shop: Shop, unfit: Done) -> None:
    trust = f"deployctl trust hosts --client {shop.place.client}"
    known = f"cat inventories/{shop.place.client}/known_hosts"
    before = shop.place.deploy(known).stdout
    words = ("CHANGED, pinned is SHA256:", "pinned ssh-ed25519 SHA256:", "got ssh-ed25519 SHA256:", "--replace")
    complains(shop.place.deploy(f"{trust} --yes", check=False), Exit.SITE, *words)
    complains(shop.place.deploy(f"{trust} --replace < /dev/null", check=False), Exit.INPUT, "nothing was pinned", "--yes")
    assert shop.place.deploy(known).stdout == before
    shop.place.deploy(f"{trust} --yes --replace")
    assert shop.place.deploy(known).stdout != before


# broken off ----------------------------------------------------------------------------------------------------------


def test_after_the_lease_of_a_killed_run_ctrl_c_in_a_transfer_leaves_nothing(shop: Shop, killed: float) -> None:
    time.sleep(max(0.0, killed + TTL + 1 - time.monotonic()))
    before = shop.state()
    with shop.slow_wire():
        done = shop.broken("Load what is missing", "kill -INT -- -$!")
    complains(done, Exit.INTERRUPTED, "interrupted", "run the same command again")
    assert "Apply the archive" not in done.stderr
    assert (shop.state(), shop.locked(), shop.at_work()) == (before, set(), "")


def test_a_bundle_that_is_replaced_after_the_plan_is_refused(shop: Shop) -> None:
    before = shop.state()
    shop.place.deploy(f"cp {USB}/{GOOD} shop.tar; cp {USB}/{SICK} other.tar")
    done = shop.broken("hosts to change", "mv other.tar shop.tar", "shop.tar")
    complains(done, Exit.SITE, "shop.tar: the plan was made from index sha256:", "this bundle has sha256:")
    assert (shop.state(), shop.locked()) == (before, set())


def test_a_host_that_dies_in_a_transfer_stops_the_install_before_anything_starts(shop: Shop) -> None:
    place = shop.place
    with shop.slow_wire(), ThreadPoolExecutor(1) as pool:
        place.deploy("rm -f now")
        job = pool.submit(shop.broken, "Load what is missing", "touch now")
        place.deploy("until [ -e now ]; do sleep 0.1; done")
        rehearsal.power_off(place.client, "db1")
        done = job.result()
    rehearsal.power_on(place.client, "db1")
    complains(done, Exit.SITE, "db1: ", "the connection broke off", "is the machine on?", "run the same command again")
    assert shop.running() == set()
    assert set(shop.records().values()) == {""}
    assert shop.locked() <= {"db1"}


def test_a_first_install_that_never_gets_healthy_shows_its_log_and_stops_what_it_started(shop: Shop) -> None:
    done = shop.install(SICK)
    words = ("app1: app is not healthy", "app2: app is not healthy", "the till is jammed", "what a first install had started")
    complains(done, Exit.UNHEALTHY, *words, "the whole log: /home/ops/")
    assert shop.running() == set()
    assert set(shop.records().values()) == {""}
    assert (shop.locked(), shop.at_work()) == (set(), "")


def test_ctrl_c_while_services_start_gives_the_lock_back_and_the_same_command_ends_well(shop: Shop) -> None:
    done = shop.broken("Start and wait until healthy", "kill -INT -- -$!")
    complains(done, Exit.INTERRUPTED, "interrupted", "run the same command again")
    assert set(shop.records().values()) == {""}
    assert (shop.locked(), shop.at_work()) == (set(), "")
    assert shop.install().returncode == Exit.DONE
    assert shop.running() == {"web1/front", "app1/app", "app2/app", "db1/store"}
    assert set(shop.records().values()) == {"1.0.0"}


# upgrades ------------------------------------------------------------------------------------------------------------


def test_an_upgrade_whose_migration_fails_touches_no_container(shop: Shop) -> None:
    before = shop.place.containers()
    done = shop.install(STUCK)
    complains(
        done,
        Exit.UNHEALTHY,
        "app1: ",
        "Run the migrations",
        "the shelves do not fit",
        "[migration-failed]",
        "to go back: ",
        "shop 1.0.0",
    )
    assert shop.place.containers() == before
    assert set(shop.records().values()) == {"1.0.0"}


def test_an_upgrade_that_never_gets_healthy_leaves_the_others_alone_and_says_how_to_go_back(shop: Shop) -> None:
    before = shop.place.containers()
    done = shop.install(SICK)
    complains(done, Exit.UNHEALTHY, "app1: app is not healthy", "the till is jammed", "to go back: ", "shop 1.0.0")
    after = shop.place.containers()
    assert {name for name in before if before[name] != after[name]} <= {"app1/shop-app-1", "app2/shop-app-1"}
    assert set(shop.records().values()) == {"1.0.0"}
    assert shop.locked() == set()
    assert shop.install().returncode == Exit.DONE
    others = {name: about for name, about in before.items() if "app" not in name.partition("/")[2]}
    assert {name: about for name, about in shop.place.containers().items() if name in others} == others
