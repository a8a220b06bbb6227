"""What is no flow does not connect: by any protocol, from anywhere, whatever befalls a host. Two products, one with UDP."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from deployctl import rehearsal
from deployctl.site import load_site
from places import NETWORKS, ROOT, SUFFIX, USB, VAULT, Place, Vendor, moved

pytestmark = pytest.mark.e2e
COLLECTOR, ECHO = "collector-1.0.0.bundle.tar", "echo-1.0.0.bundle.tar"
PORTS = (22, 2375, 5353, 5432, 6379, 8000, 8443)
ECHOING = "import socket; s = socket.socket(2, 2); s.bind(('', 5353)); [s.sendto(*s.recvfrom(2048)[:2]) for _ in iter(int, 1)]"
COMPOSE = f"""\
name: echo
x-deployctl:
  version: 1.0.0
  targets: [debian-13]
  flows:
    - {{from: clients, to: "near:5353/udp"}}
    - {{from: asker, to: "near:5353/udp"}}
    - {{from: asker, to: "far:5353/udp"}}
    - {{from: near, to: "crm:514/udp"}}
    - {{from: near, to: crm:443}}
services:
  asker: &idle
    image: collector/app:1.0.0
    command: [sleep, infinity]
    healthcheck: {{disable: true}}
    x-deployctl: {{segment: internal}}
  near: &echo
    <<: *idle
    healthcheck: {{test: [CMD, "true"], interval: 1s}}
    command: [python3, -c, "{ECHOING}"]
    expose: ["5353/udp"]
  far: {{<<: *echo, x-deployctl: {{segment: data}}}}
"""
ASK_UDP = """
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(2)
s.sendto(b"hello", (sys.argv[1], int(sys.argv[2])))
print(s.recvfrom(100)[0].decode())
"""
LOOK = """
import socket, sys, time
s = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3)); s.settimeout(0.2)
last, found = time.monotonic() + float(sys.argv[1]), set()
while time.monotonic() < last:
    try: data, sender = s.recvfrom(65536)
    except OSError: continue
    if sender[2] != 4 and data[9] in (6, 17) and data[data[0] % 16 * 4:][:2] == (31337).to_bytes(2, "big"): found.add(data[9])
print(sorted(found))
"""
CONNECT = """
import socket, sys
socket.setdefaulttimeout(2)
for end in sys.argv[1:]:
    host, port = end.split(":")
    if socket.socket().connect_ex((host, int(port))) == 0: print(end)
print("tried", len(sys.argv) - 1)
"""
FORGE = """
import socket, struct, sys
def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data)); total = (total >> 16) + (total & 0xffff); total += total >> 16
    return ~total & 0xffff
def packet(source, target, port, kind):
    src, dst = socket.inet_aton(source), socket.inet_aton(target)
    if kind == 17: body = struct.pack("!HHHH", 31337, port, 12, 0) + b"evil"
    else: body = struct.pack("!HHIIBBHHH", 31337, port, 1, 0, 5 << 4, 2, 1024, 0, 0)
    whole = body + (b"" if len(body) % 2 == 0 else b"\\0")
    value = checksum(src + dst + struct.pack("!BBH", 0, kind, len(body)) + whole)
    at = 6 if kind == 17 else 16
    body = body[:at] + struct.pack("!H", value) + body[at + 2:]
    return struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(body), 7, 0, 64, kind, 0, src, dst) + body
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
for source in sys.argv[1].split(","):
    for end in sys.argv[2].split(","):
        target, port = end.split(":")
        for kind in (6, 17):
            try: raw.sendto(packet(source, target, int(port), kind), (target, 0))
            except OSError: pass
"""


@pytest.fixture(scope="module")
def site(vendor: Vendor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Four hosts with both products, and a machine outside that answers everything."""
    project = tmp_path_factory.mktemp("echo")
    (project / "compose.yaml").write_text(COMPOSE)
    vendor.bundle(project)
    network = str(int(NETWORKS["acme"]) + 2)
    folder = moved(f"isolation-e2e{SUFFIX}", "acme", network, tmp_path_factory.mktemp("inventories"))
    with (folder / "group_vars" / "all" / "client.yml").open("a") as file:
        file.write(f"externals: {{crm: {{address: 10.{network}.60.5}}}}\npool: 172.28.0.0/20\n")
    known = load_site(folder)
    rehearsal.down(known.name, known.folder)
    rehearsal.up(
        known, [*rehearsal.read_flows(known, ROOT / "app"), *rehearsal.read_flows(known, project)], medium=vendor.medium
    )
    place = Place(known)
    try:
        place.prepare(COLLECTOR)
        assert place.installed(COLLECTOR)["changed"]
        yield place
    finally:
        rehearsal.down(known.name, known.folder)


@pytest.fixture(scope="module")
def both(site: Place) -> Place:
    """The second product beside it, in a pool of its own, as another client of the same hosts."""
    other = f"{site.client}-echo"
    site.deploy(
        f"cd inventories && rm -rf {other} && cp -r {site.client} {other} && rm -rf {other}/.site"
        f" && sed -i 's/^pool: .*/pool: 172.29.0.0\\/20/' {other}/group_vars/all/client.yml"
    )
    found = site.deploy(f"deployctl preflight --flows --json --client {other} {VAULT} {USB}/{ECHO}")
    ahead = json.loads(found.stdout)["flows"]
    ends = {("udp", end) for end in ("app1", "app2", "db1", "crm")} | {("tcp", "crm")}
    assert {(one["protocol"], one["to"]) for one in ahead} == ends
    assert all(one["seen"] == "open" for one in ahead), "nothing is installed yet, and the ways are open"
    report = json.loads(site.deploy(f"deployctl install --json --client {other} {VAULT} {USB}/{ECHO}").stdout)
    assert [flow for flow in report["flows"] if not flow["good"]] == []
    return site


def matrix(site: Place) -> list[dict[str, Any]]:
    """Every pair of both products, each as promised."""
    found = []
    for project in ("collector", "echo"):
        done = site.status("--flows", "--json", f"--project {project}")
        found += json.loads(done.stdout)["flows"]
    assert [flow for flow in found if not flow["good"]] == []
    assert len({flow["host"] for flow in found}) == 4
    return found


def test_the_matrix_holds_over_tcp_and_udp_and_ipv6_from_containers_and_hosts(both: Place) -> None:
    found = matrix(both)
    kinds = {(f["protocol"], ":" in f["address"], f["promised"], f["from"] == "the host itself") for f in found}
    ways = {(protocol, six, "shut", False) for protocol in ("tcp", "udp") for six in (False, True)}
    assert ways | {("tcp", False, "open", False), ("udp", False, "open", False), ("tcp", True, "shut", True)} <= kinds
    udp = {(f["host"], f["from"], f["to"]) for f in found if f["protocol"] == "udp" and f["promised"] == "open"}
    apps = ("app1", "app2")
    assert {(h, "asker", "near") for h in apps} | {(h, "asker", "far") for h in apps} | {
        (h, "near", "crm") for h in apps
    } <= udp


def ask_udp(site: Place, machine: str, address: str, port: int) -> str:
    return site.on(machine, f"python3 -c {shlex.quote(ASK_UDP)} {address} {port}", check=False).stdout.strip()


def test_from_outside_only_entrances_answer_over_tcp_and_udp(both: Place) -> None:
    assert both.open_ports("clients", PORTS) == {"web1:8443"}
    answers = {
        (host.name, port) for host in both.site.targets for port in (5353, 8000) if ask_udp(both, "clients", host.address, port)
    }
    assert answers == {("app1", 5353), ("app2", 5353)}


def test_no_rule_relies_on_the_router(both: Place) -> None:
    outside = both.site.client.externals["crm"].address
    rehearsal.exec_in(both.client, "router", ["nft", "add", "rule", "inet", "rehearsal", "fault", "accept"], check=True)
    try:
        matrix(both)
        assert both.open_ports("clients", PORTS) == {"web1:8443", *(f"{host.name}:22" for host in both.site.targets)}
        assert both.on("clients", f"timeout 2 bash -c 'exec 3<>/dev/tcp/{outside}/443'", check=False).returncode == 0
        assert not any(ask_udp(both, "deploy", host.address, 5353) for host in both.site.targets)
        redis = address(both, "db1", "collector-redis-1")  # straight to the container, by a route that somebody adds
        both.on("app2", f"ip route replace {redis}/32 via $(ip route show default | cut -d' ' -f3)")
        assert both.on("app2", f"timeout 2 bash -c 'exec 3<>/dev/tcp/{redis}/6379'", check=False).returncode != 0
        both.on("app2", f"ip route del {redis}/32")
    finally:
        rehearsal.exec_in(both.client, "router", ["nft", "flush", "chain", "inet", "rehearsal", "fault"], check=True)


def test_no_rule_relies_on_bridge_netfilter(both: Place) -> None:
    switch = "sysctl -w net.bridge.bridge-nf-call-iptables={0} net.bridge.bridge-nf-call-ip6tables={0}"
    try:
        for host in both.site.targets:
            assert "= 0" in both.on(host.name, switch.format(0)).stdout
        matrix(both)
    finally:
        for host in both.site.targets:
            both.on(host.name, switch.format(1))


def inside(site: Place, host: str, container: str, script: str, *, check: bool = True) -> str:
    """As root with every right, in the network of a container."""
    pid = site.on(host, f"docker inspect -f '{{{{.State.Pid}}}}' {container}").stdout.strip()
    return site.on(host, f"nsenter -t {pid} -n bash -c {shlex.quote(script)}", check=check).stdout


def address(site: Place, host: str, container: str) -> str:
    form = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
    return site.on(host, f"docker inspect -f '{form}' {container}").stdout.strip()


def test_root_in_a_container_with_raw_sockets_reaches_no_other_service(both: Place) -> None:
    worker, near = address(both, "app1", "collector-worker-1"), address(both, "app1", "echo-near-1")
    api, db = both.site.hosts["app2"].address, both.site.hosts["db1"].address
    watched = {
        "app1": ("collector-worker-1", "echo-near-1"),
        "app2": ("collector-api-1",),
        "db1": ("echo-far-1", "collector-redis-1"),
    }
    for host, names in watched.items():
        for name in names:
            both.on(host, f"cat > /tmp/look.py <<'X'\n{LOOK}\nX")
            inside(both, host, name, f"setsid python3 /tmp/look.py 12 > /tmp/seen-{name} 2>&1 < /dev/null &")
    forged = ",".join(
        [worker, near, both.site.hosts["web1"].address, both.site.hosts["app1"].address, "127.0.0.1", "172.17.0.1"]
    )
    ends = f"{worker}:8000,{near}:5353,{api}:8000,{db}:5353,{db}:6379"
    both.on("app1", f"cat > /tmp/forge.py <<'X'\n{FORGE}\nX")
    both.on("app1", "for f in /proc/sys/net/ipv4/conf/{all,dc-*}/rp_filter; do echo 0 > $f; done")
    gateway = inside(both, "app1", "collector-api-1", "ip -4 route show default | cut -d' ' -f3").strip()
    own = address(both, "app1", "collector-api-1")
    inside(both, "app1", "collector-api-1", f"python3 /tmp/forge.py {forged} {ends}")
    inside(both, "app1", "collector-api-1",
           "ip link set eth0 down; ip link set eth0 address 02:00:00:00:be:ef; ip link set eth0 up;"
           f" ip route replace default via {gateway};"
           f" ip addr add {worker}/32 dev eth0; ip route replace {near}/32 via {gateway} src {worker};"
           f" python3 /tmp/forge.py {forged} {ends};"
           f" ip addr del {worker}/32 dev eth0; ip route del {near}/32; python3 /tmp/forge.py {own} {db}:6379")  # fmt: skip
    both.on("app1", "sleep 12")
    seen = {name: both.on(host, f"cat /tmp/seen-{name}").stdout.strip() for host, names in watched.items() for name in names}
    assert seen.pop("collector-redis-1") == "[6]", "its own flow, from its own address, arrives: the trial can see"
    assert set(seen.values()) == {"[]"}
    both.on("app1", "docker restart -t 5 collector-api-1")
    both.settled()


def test_a_containers_ipv6_reaches_no_sshd_of_its_host(both: Place) -> None:
    bridge = both.on("app1", "ls /sys/class/net | grep '^dc-.*api'").stdout.strip()
    both.on("app1", f"echo 0 > /proc/sys/net/ipv6/conf/{bridge}/disable_ipv6; sleep 2")
    link = both.on("app1", f"ip -6 -o addr show dev {bridge} scope link | awk '{{print $4}}' | cut -d/ -f1").stdout.strip()
    assert link.startswith("fe80:")
    script = (
        "sysctl -qw net.ipv6.conf.all.disable_ipv6=0 net.ipv6.conf.eth0.disable_ipv6=0; sleep 2;"
        f" timeout 2 bash -c 'exec 3<>/dev/tcp/{link}%eth0/22' && echo open"
    )
    assert "open" not in inside(both, "app1", "collector-api-1", script, check=False)
    both.on("app1", "docker restart -t 5 collector-api-1")
    both.settled()


def test_a_call_of_oneself_by_the_host_is_refused_at_once(both: Place) -> None:
    own = both.site.hosts["app1"].address
    said = inside(
        both, "app1", "collector-api-1", f"time timeout 5 bash -c 'exec 3<>/dev/tcp/{own}/8000' 2>&1; true", check=False
    )
    assert "refused" in said


def test_a_strangers_container_reaches_no_service_of_ours_here_or_elsewhere(both: Place) -> None:
    image = both.on("app1", "docker inspect -f '{{.Config.Image}}' collector-api-1").stdout.strip()
    near, db = address(both, "app1", "echo-near-1"), both.site.hosts["db1"].address
    own = f"{both.site.hosts['app1'].address}:8000 {address(both, 'app1', 'collector-api-1')}:8000"
    call = f"python3 -c {shlex.quote(CONNECT)} {db}:5432 {db}:6379 {own} {near}:5353"
    said = both.on("app1", f"timeout 30 docker run --rm --entrypoint '' {image} {call}", check=False).stdout
    assert said == "tried 5\n"


Deed = Callable[[Place], None]
ADMINS = "table inet admins_own"


def admins_rules(site: Place, host: str) -> str:
    return site.on(host, f"nft list {ADMINS}; iptables -S | grep 203.0.113.7; iptables -t nat -S | grep 203.0.113.8").stdout


def restart_docker(site: Place) -> None:
    for host in site.site.targets:
        site.on(host.name, "systemctl restart docker")


def restart_nftables(site: Place) -> None:
    for host in site.site.targets:
        site.on(host.name, "systemctl restart nftables")


def reboot(site: Place) -> None:
    for host in site.site.targets:
        rehearsal.power_off(site.client, host.name)
        rehearsal.power_on(site.client, host.name)


def prune(site: Place) -> None:
    for host in site.site.targets:
        site.on(host.name, "docker network prune -f")


def test_an_administrators_own_rules_live_beside_ours_and_neither_is_changed(both: Place) -> None:
    both.on(
        "app1",
        f"""set -e; nft '{ADMINS} {{ chain input {{ type filter hook input priority 5; ip saddr 203.0.113.9 drop; }}; }}'
        iptables -I INPUT -s 203.0.113.7 -j DROP; iptables -t nat -A PREROUTING -s 203.0.113.8 -p tcp --dport 9 -j REDIRECT""",
    )
    before = admins_rules(both, "app1")
    assert before.count("203.0.113") == 3
    matrix(both)
    both.on("app1", "nft delete table inet deployctl_collector")
    assert both.installed(COLLECTOR)["changed"] == ["app1"]
    for deed in (restart_docker, prune):
        deed(both)
    both.settled()
    matrix(both)
    assert admins_rules(both, "app1") == before


ALREADY = [
    pytest.param(deed, marks=pytest.mark.full) for deed in (restart_docker, prune)
]  # tried with an administrator's rules


@pytest.mark.parametrize("deed", [restart_nftables, *ALREADY, reboot], ids=lambda deed: deed.__name__)
def test_the_matrix_holds_afterwards_without_deployctl(both: Place, deed: Deed) -> None:
    deed(both)
    both.settled(150)
    matrix(both)


def test_what_an_administrator_flushed_is_said_and_mended(both: Place) -> None:
    both.on("app2", "iptables -D DOCKER-USER -m mark --mark 0x10000000/0x10000000 -j ACCEPT")
    said = both.status()
    assert (said.returncode, "[isolation-off]" in said.stderr) == (6, True)
    assert both.installed(COLLECTOR)["changed"] == ["app2"]
    both.on("app2", "nft flush ruleset")
    said = both.status()
    assert said.returncode == 6
    assert "Docker's own iptables rules are gone" in said.stderr
    both.on("app2", "systemctl restart docker deployctl-network")
    both.settled()
    matrix(both)


def test_a_table_that_keeps_us_out_undoes_itself_and_the_run_says_so(both: Place) -> None:
    table = "table inet deployctl_zz { chain input { type filter hook input priority -10; tcp dport 22 ct state new drop; }; }"
    loaded = both.on("app1", "nft list table inet deployctl_collector | grep -c jump").stdout
    both.on(
        "app1", f"echo '{table}' > /etc/deployctl/network.d/zz.nft; echo '#' >> /etc/systemd/system/deployctl-network.service"
    )
    said = both.install(COLLECTOR, check=False)
    assert said.returncode == 4
    assert "let no new SSH connection in from here, so the host took it back by itself" in said.stderr
    assert "deployctl_zz" not in both.on("app1", "nft list tables").stdout
    assert both.on("app1", "nft list table inet deployctl_collector | grep -c jump").stdout == loaded
    assert both.on("app1", "ls /etc/deployctl/network.d").stdout.split() == ["collector.nft", "echo.nft"]
    matrix(both)
    assert both.installed(COLLECTOR)["changed"] == ["app1"]


def test_a_flow_that_the_sites_firewall_blocks_is_named_and_its_row_written(both: Place) -> None:
    flows = rehearsal.read_flows(both.site, ROOT / "app")
    rehearsal.update_router(both.site, [flow for flow in flows if flow.port != 6379])
    try:
        ask = f"deployctl preflight --flows --csv b.csv --client {both.client} {VAULT} {USB}/{COLLECTOR}"
        said = both.deploy(ask, check=False)
        assert said.returncode == 6
        db = both.site.hosts["db1"].address
        assert f"app1 → db1 ({db}:6379/tcp), for api → redis, worker → redis: timed out [flows-blocked]" in said.stderr
        rows = both.deploy("cat b.csv").stdout.splitlines()
        assert [row.split(",")[1] for row in rows[1:]] == ["app1", "app2"]
        said = both.status("--flows", "--project collector")
        assert (said.returncode, "[flows-broken]" in said.stderr) == (6, True)
        assert "firewall between segments" in said.stderr
    finally:
        rehearsal.update_router(both.site, flows)
