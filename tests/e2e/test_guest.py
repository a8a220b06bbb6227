"""A guest's manners: two products with the same names on one host, and a host that is as before when they have gone.

The tests follow each other: the host is looked at, both products come, live side by side, and go, one by each way.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from deployctl.commands.exits import Exit
from places import USB, VAULT, Done, Place, Vendor

pytestmark = pytest.mark.e2e
ALPHA, BETA = "alpha-1.0.0.bundle.tar", "beta-1.0.0.bundle.tar"
COMPOSE = """\
name: NAME
x-deployctl:
  version: 1.0.0
  flows:
    - {from: clients, to: front:8443}
    - {from: front, to: store:6379}
  secrets: {pw: {kind: password}}
secrets: {pw: {file: ./pw}}
x-redis: &redis
  image: collector/redis:8
  entrypoint: [env]
  user: "999:999"
services:
  front:
    <<: *redis
    user: "10001:10001"
    expose: [8443]
    command: [redis-server, --port, "8443", --dir, /tmp, --save, "", --protected-mode, "no", --set-proc-title, "no"]
    logging: {driver: json-file, options: {max-size: "-1"}}
    healthcheck: {test: [CMD, redis-cli, -p, "8443", ping], interval: 1s, retries: 5}
  store:
    <<: *redis
    command: [redis-server, --save, "", --protected-mode, "no", --dir, /data]
    secrets: [pw]
    volumes: ["data:/data"]
    healthcheck: {test: [CMD, redis-cli, ping], interval: 1s, retries: 5}
volumes: {data: }
"""
HIS = r"""
set -e
mkdir -p /etc/nftables.service.d /etc/systemd/system/docker.service.d /srv/his /etc/systemd/system/nftables.service.d
printf '[Service]\nEnvironment=HIS=1\n' > /etc/systemd/system/nftables.service.d/his.conf
printf '[Service]\nEnvironment=HTTP_PROXY=http://10.1.1.1:3128\n' > /etc/systemd/system/docker.service.d/proxy.conf
systemctl daemon-reload; systemctl restart docker
mkdir -p /root/.docker
echo '{"proxies": {"default": {"httpProxy": "http://10.1.1.1:3128", "noProxy": "localhost"}}}' > /root/.docker/config.json
nft add table inet his; nft add chain inet his in '{ type filter hook input priority 10; }'
nft add rule inet his in tcp dport 4711 drop
iptables -A INPUT -p tcp --dport 4712 -j DROP; iptables -I DOCKER-USER -s 10.99.0.0/16 -j DROP
id anna 2>/dev/null || useradd -m -u 999 -o anna; id berta 2>/dev/null || useradd -m -s /bin/bash -u 10001 berta
tar -C / -ch usr/bin/sleep lib64/ld-linux-x86-64.so.2 lib/x86_64-linux-gnu/libc.so.6 | docker import - his/sleep:1
cat > /srv/his/compose.yaml <<END
services: {nap: {image: "his/sleep:1", command: [/usr/bin/sleep, "100000"], volumes: ["bed:/bed"]}}
volumes: {bed: }
END
cd /srv/his && docker compose up -d --pull never
"""
LOOK = r"""
find /etc /usr /opt /srv /root /home /var /run/deployctl /run/systemd/system /boot -xdev \
  \( -path /var/lib/docker -o -path /var/lib/containerd -o -path /var/lib/systemd -o -path /var/log -o -path /var/cache \
     -o -path /var/lib/sudo -o -path /var/tmp -o -path /usr/share \) -prune \
  -o -printf 'path %p %y %m %U:%G %l\n' 2>/dev/null | sort
find /etc /usr/local /root /home -xdev -type f -exec sha256sum {} + | sort
getent passwd; getent group; ls -lA /etc/sudoers.d
systemctl list-unit-files --no-legend --no-pager; systemctl is-enabled docker nftables
nft list ruleset | sed 's/counter packets [0-9]* bytes [0-9]*/counter/; s/# handle.*//' | sort
iptables-save | sed 's/\[[0-9:]*\]//; /^#/d' | sort
ip6tables-save 2>/dev/null | sed 's/\[[0-9:]*\]//; /^#/d' | sort
docker image ls --no-trunc --format 'image {{.Repository}}:{{.Tag}} {{.ID}}' | sort
docker network ls --no-trunc --format 'network {{.Name}} {{.ID}}' | sort
docker volume ls --format 'volume {{.Name}}' | sort
docker ps -a --no-trunc --format 'container {{.Names}} {{.ID}}' | sort
dpkg-query -W; ip -o -4 route | sort
"""


def project(folder: Path, name: str) -> Path:
    """A product of this name; all else of it is the same."""
    folder.mkdir()
    (folder / "compose.yaml").write_text(COMPOSE.replace("NAME", name))
    return folder


def run(site: Place, verb: str, words: str = "") -> Done:
    """A verb of deployctl on the deploy node, which may fail."""
    return site.deploy(f"deployctl {verb} --client {site.client} {words}", check=False)


def install(site: Place, bundle: str) -> Done:
    return run(site, "install", f"{VAULT} {USB}/{bundle}")


def said(done: Done, code: Exit, *words: str) -> Done:
    """It ended with this code and said all of this."""
    text = done.stdout + done.stderr
    assert (done.returncode, "Traceback" in text) == (code, False), text
    assert not [word for word in words if word not in text], text
    return done


def look(site: Place) -> list[str]:
    return site.on("srv1", LOOK).stdout.splitlines()


def of(site: Place, name: str) -> dict[str, str]:
    """A product's containers."""
    return {one: state for one, state in site.containers().items() if one.startswith(f"srv1/{name}-")}


def settings(site: Place, text: str) -> None:
    site.deploy(f"cat >> inventories/{site.client}/group_vars/all/client.yml <<'END'\n{text}\nEND")


@pytest.fixture(scope="module")
def before(globex: Place, vendor: Vendor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """The host of a man who has things of his own there, as it is before anything of ours."""
    folder = tmp_path_factory.mktemp("guests")
    for name in ("alpha", "beta"):
        vendor.bundle(project(folder / name, name))
    file = f"inventories/{globex.client}/group_vars/all/client.yml"
    kept = globex.deploy(f"cat {file}").stdout
    globex.reset()
    globex.deploy(f"rm -rf inventories/{globex.client}/.site")
    globex.on("srv1", HIS)
    yield look(globex)
    globex.deploy(f"cat > {file} <<'END'\n{kept}END")
    globex.reset()


@pytest.fixture
def site(globex: Place, before: list[str]) -> Place:
    return globex


# two products ----------------------------------------------------------------------------------------------------------


def test_the_plan_does_not_change_which_bundle_is_meant_next(site: Place) -> None:
    site.deploy(f"for b in {ALPHA} {BETA}; do deployctl secrets generate --client {site.client} {VAULT} {USB}/$b; done")
    said(run(site, "plan", f"{VAULT} {USB}/{BETA}"), Exit.DONE, "beta 1.0.0 at")
    said(run(site, "install", VAULT), Exit.INPUT, "holds no bundle yet")
    said(install(site, ALPHA), Exit.DONE)
    said(run(site, "install", VAULT), Exit.DONE, "alpha 1.0.0 at", "nothing to change")


def test_a_port_that_another_product_has_is_refused_with_the_line_to_write(site: Place) -> None:
    untouched = site.containers()
    line = "products: {beta: {ports: {front: {8443: 8444}}}}"
    said(install(site, BETA), Exit.SITE, "port 8443/tcp is alpha's already; beta's front wants it, too", line)
    assert site.containers() == untouched
    settings(site, line)
    said(install(site, BETA), Exit.DONE, "beta 1.0.0")
    assert {name: site.containers()[name] for name in untouched} == untouched


def test_both_are_healthy_with_addresses_of_their_own_and_nothing_changes_again(site: Place) -> None:
    report = json.loads(run(site, "status", "--flows --json").stdout)
    assert report["projects"] == ["alpha", "beta"]
    assert {(one["project"], one["service"], one["state"]) for one in report["services"]} == {
        (name, service, "healthy") for name in ("alpha", "beta") for service in ("front", "store")
    }
    assert [flow for flow in report["flows"] if not flow["good"]] == []
    pools = {
        json.loads(site.on("srv1", f"cat /var/lib/deployctl/{name}/record.json").stdout)["pool"] for name in ("alpha", "beta")
    }
    assert pools == {"172.30.0.0/20", "172.30.16.0/20"}
    for bundle in (ALPHA, BETA):
        said(install(site, bundle), Exit.DONE, "nothing to change")


def test_neither_reaches_the_other_by_any_address(site: Place) -> None:
    form = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
    for caller, other, port in (("alpha", "beta", 8444), ("beta", "alpha", 8443)):
        for service, own in (("front", 8443), ("store", 6379)):
            at = site.on("srv1", f"docker inspect -f '{form}' {other}-{service}-1").stdout.strip()
            for address, to in ((at, own), (site.site.hosts["srv1"].address, port)):
                tried = f"docker exec {caller}-front-1 timeout 2 redis-cli -h {address} -p {to} ping"
                assert "PONG" not in site.on("srv1", tried, check=False).stdout


def test_secrets_of_the_same_name_are_two(site: Place) -> None:
    vault = f"inventories/{site.client}/group_vars/all/vault.yml"
    held = yaml.safe_load(site.deploy(f"/opt/deployctl/current/bin/ansible-vault view {VAULT} {vault}").stdout)
    assert held["alpha"]["pw"] != held["beta"]["pw"]
    for name in ("alpha", "beta"):
        assert site.on("srv1", f"docker exec {name}-store-1 cat /run/secrets/pw").stdout == held[name]["pw"]


def test_a_command_that_does_not_say_which_product_is_told_so(site: Place) -> None:
    said(
        run(site, "install", VAULT),
        Exit.INPUT,
        "which product? Installed from here were alpha, beta",
        f"name it: {USB}/{ALPHA}",
    )
    said(run(site, "remove", "--yes"), Exit.INPUT, "which one? There are alpha, beta", "[which-product]", "--project alpha")
    said(run(site, "status", "--project alhpa"), Exit.INPUT, 'no product "alhpa" is installed there', 'did you mean "alpha"?')


# at home in the host -----------------------------------------------------------------------------------------------------


def test_no_proxy_of_the_host_is_in_a_container_and_every_log_rotates(site: Place) -> None:
    said(install(site, ALPHA), Exit.DONE, "nothing to change")
    for name in of(site, "alpha"):
        container = name.removeprefix("srv1/")
        seen = site.on("srv1", f"docker exec {container} env").stdout
        assert "3128" not in seen
        assert re.search(r"^HTTP_PROXY=$", seen, re.MULTILINE)
        assert "max-size:10m" in site.on("srv1", f"docker inspect -f '{{{{.HostConfig.LogConfig}}}}' {container}").stdout
    made = site.on("srv1", "cd /etc/deployctl/alpha && docker compose up -d --force-recreate && docker exec alpha-front-1 env")
    assert "3128" not in made.stdout


def test_compose_by_hand_works_and_changes_nothing(site: Place) -> None:
    untouched = site.containers()
    done = site.on(
        "srv1", "cd /etc/deployctl/alpha && docker compose up -d && docker compose ps && docker compose logs --tail 3"
    )
    assert "alpha-front-1" in done.stdout
    assert site.containers() == untouched
    site.on("srv1", "cd /etc/deployctl/alpha && docker compose restart")
    site.settled()
    said(install(site, ALPHA), Exit.DONE, "nothing to change")


def test_a_paused_container_is_made_to_work(site: Place) -> None:
    site.on("srv1", "docker pause alpha-store-1")
    said(run(site, "plan", f"{VAULT} {USB}/{ALPHA}"), Exit.DONE, "start  store (wave 1 of 2): is paused")
    said(install(site, ALPHA), Exit.DONE, "store    1.0.0    healthy")
    assert site.on("srv1", "docker exec alpha-store-1 redis-cli ping").stdout == "PONG\n"


def test_the_plan_s_own_commands_typed_by_a_person_do_what_install_would(site: Place) -> None:
    site.on("srv1", "cd /etc/deployctl/alpha && docker compose stop front && nft delete table inet deployctl_alpha")
    said(run(site, "plan", f"{VAULT} {USB}/{ALPHA}"), Exit.DONE, "load   the network table", "start  front")
    typed = run(site, "plan", f"--commands {VAULT} {USB}/{ALPHA}").stdout.splitlines()
    for line in typed:
        assert line.startswith(("#", "srv1# ")), typed
        site.on("srv1", line.removeprefix("srv1# "))
    said(install(site, ALPHA), Exit.DONE, "nothing to change")


def test_the_files_are_listed_with_why_and_what_was_changed_is_seen(site: Place) -> None:
    site.on("srv1", "echo '# by hand' >> /etc/deployctl/alpha/compose.yaml; touch /etc/deployctl/alpha/mine")
    found = {one["name"]: one for one in json.loads(run(site, "files", "--project alpha --json").stdout)["files"]}
    assert found["/etc/deployctl/alpha/compose.yaml"]["state"] == "changed: content"
    assert found["/etc/deployctl/alpha/README"]["state"] == "as written"
    assert found["/etc/deployctl/alpha/mine"]["state"] == "stranger"
    assert {found[f"alpha_{name}"]["kind"] for name in ("front", "store", "data")} == {"network", "volume"}
    assert all(one["release"] == "1.0.0" and one["why"] for one in found.values())
    only = run(site, "files", "--host srv1 /var/lib/deployctl/alpha/secrets/store")
    assert only.stdout.count("/var/lib/deployctl/alpha/secrets/store") == len(only.stdout.splitlines()) - 1 >= 3
    site.on("srv1", "rm /etc/deployctl/alpha/mine")
    said(install(site, ALPHA), Exit.DONE)


def test_a_person_s_account_with_the_number_of_a_service_is_told(site: Place) -> None:
    plan = said(run(site, "plan", f"{VAULT} {USB}/{ALPHA}"), Exit.DONE)
    assert re.findall(r"note: srv1: (\w+) runs as user 10001, which is berta on that host", plan.stderr) == ["front"]
    assert "anna" not in plan.stderr  # 999 is a system account's number, as the images of databases have it


def test_a_record_of_a_later_deployctl_is_refused_and_one_of_an_older_is_migrated(site: Place) -> None:
    path = "/var/lib/deployctl/alpha/record.json"
    kept = site.on("srv1", f"cat {path}").stdout
    site.on("srv1", f'sed -i \'s/"schema": 2/"schema": 3/\' {path}')
    for verb, words in (
        ("install", f"{VAULT} {USB}/{ALPHA}"),
        ("status", "--project alpha"),
        ("remove", "--project alpha --yes"),
        ("files", ""),
    ):
        said(run(site, verb, words), Exit.SITE, "schema 3, which a later deployctl wrote; this one knows 2")
    old = {key: value for key, value in json.loads(kept).items() if key not in ("images", "pool", "answers", "hosts")}
    old |= {"schema": 1, "files": sorted(old["files"])}
    site.on("srv1", f"cat > {path} <<'END'\n{json.dumps(old)}\nEND")
    untouched = site.containers()
    said(run(site, "status", "--project alpha"), Exit.DONE, "healthy")
    said(install(site, ALPHA), Exit.DONE, f"write  {path}: what is installed here")
    assert json.loads(site.on("srv1", f"cat {path}").stdout)["files"] == json.loads(kept)["files"]
    assert site.containers() == untouched


# they go -----------------------------------------------------------------------------------------------------------------


def test_nothing_is_removed_that_nobody_confirmed_or_that_is_not_there(site: Place) -> None:
    untouched = site.containers()
    said(
        run(site, "remove", "--project beta"), Exit.INPUT, "nobody can be asked here", "keep   volume beta_data, with its data"
    )
    typed = f"echo alpha | script -qec 'deployctl remove --client {site.client} --project beta' /dev/null"
    said(
        site.deploy(typed, check=False),
        Exit.INPUT,
        f"that is not {site.client}; nothing was removed",
        "[removal-not-confirmed]",
    )
    said(
        run(site, "remove", "--project beta --volumes beta_dta"),
        Exit.INPUT,
        'no volume "beta_dta"',
        "[volume-unknown]",
        'did you mean "beta_data"?',
    )
    said(run(site, "remove", "--project bets --yes"), Exit.INPUT, "nothing of bets is on its hosts", 'did you mean "beta"?')
    said(run(site, "remove", "--project zzz --yes"), Exit.DONE, "removed from no host; there was nothing")
    assert site.containers() == untouched


def test_the_recipe_of_the_host_s_readme_removes_one_and_leaves_the_other(site: Place) -> None:
    untouched = of(site, "alpha")
    text = site.on("srv1", "cat /etc/deployctl/beta/README").stdout
    recipe = [line.strip() for line in text.partition("REMOVE IT BY HAND")[2].splitlines()[1:4]]
    site.on("srv1", "set -e\n" + "\n".join(recipe))
    assert of(site, "beta") == {}
    assert of(site, "alpha") == untouched
    assert json.loads(run(site, "status", "--json").stdout)["projects"] == ["alpha"]
    assert "alpha" not in "".join(line for line in look(site) if "beta" in line and not line.startswith("volume beta_data"))


def test_what_was_removed_comes_back_with_its_data_and_the_plan_says_so(site: Place) -> None:
    said(install(site, BETA), Exit.DONE, "keep   volume beta_data, which is there from before, with its data", "healthy")


def test_the_removal_of_one_leaves_the_other_untouched(site: Place) -> None:
    untouched = of(site, "alpha")
    typed = f"echo {site.client} | script -qec 'deployctl remove --client {site.client} --project beta' /dev/null"
    said(site.deploy(typed, check=False), Exit.DONE, "removed from srv1", "srv1 keeps its data: beta_data")
    assert of(site, "alpha") == untouched
    report = json.loads(run(site, "status", "--flows --json").stdout)
    assert report["projects"] == ["alpha"]
    assert [flow for flow in report["flows"] if not flow["good"]] == []
    said(run(site, "install", VAULT), Exit.DONE, "alpha 1.0.0 at", "nothing to change")


def test_a_removal_that_was_killed_is_continued(site: Place) -> None:
    done = site.deploy(
        f"set -m; : > said; deployctl remove --client {site.client} --yes --volumes alpha_data 2> said & "
        "until grep -q 'Take containers' said || ! kill -0 $!; do sleep 0.02; done; kill -INT -- -$!; wait $!; echo $?",
        check=False,
    )
    assert done.stdout.splitlines()[-1] == "130", done.stdout + done.stderr
    again = run(site, "remove", "--yes --project alpha")
    assert again.returncode == 0, again.stderr
    said(run(site, "remove", "--yes"), Exit.DONE, f"nothing of ours is on {site.client}'s hosts")
    runs = site.journal("select command, project, outcome from runs where command = 'remove'")
    assert ["remove", "alpha", "interrupted"] in runs
    assert ["remove", "beta", "done"] in runs


def test_the_host_is_as_before(site: Place, before: list[str]) -> None:
    said(run(site, "remove", "--project beta --yes --volumes beta_data"), Exit.DONE, "DELETE volume beta_data, with its data")
    site.on("srv1", "docker volume rm -f alpha_data")
    after = look(site)
    assert set(before) == set(after), "\n".join(sorted(set(before) ^ set(after)))
