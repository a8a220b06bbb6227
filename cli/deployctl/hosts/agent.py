"""What runs on a host: one verb a request. Sent whole on ssh's stdin and run as root: nothing installed, nothing in argv.

Standard library only, Python 3.9 or newer, because the host's own Python runs it; one file, because it travels as one.
A request is a line of JSON; the answer is one, with the byte 1E before it: {"ok": true, ...} or {"ok": false, "error": code,
"message": text}. A request's `root` goes before /etc and /var/lib/deployctl (tests).
"""

from __future__ import annotations

import contextlib
import fcntl
import glob
import hashlib
import http.client
import ipaddress
import json
import os
import platform
import shutil
import signal
import socket
import stat
import struct
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Iterator
from typing import Any

SOCKETS = ("/run/docker.sock", "/var/run/docker.sock")
PLUGINS = [f"/usr/{place}/docker/cli-plugins" for place in ("local/lib", "local/libexec", "lib", "libexec")]  # the CLI's order
METADATA = "docker-cli-plugin-metadata"  # the word by which a plugin tells about itself, as JSON
TOOLS = {"nft": "nftables", "iptables": "iptables"}  # program -> Debian's package
PACKAGES = "/var/lib/deployctl/packages.json"  # what of our packages was installed here, written by the role packages
MARKED = "-A DOCKER-USER -m mark --mark 0x10000000/0x10000000 -j ACCEPT"  # desired.network.MARK, as iptables -S says it
IDLE = 600  # seconds without a request after which it ends
Table = dict[str, Any]  # what JSON calls an object
Tables = list[Table]


class Refusal(Exception):
    """An answer that says no: a stable code and words for a person."""

    def __init__(self, code: str, message: str, **more: object) -> None:
        super().__init__(message)
        self.answer = dict(more, ok=False, error=code, message=message)


class Docker(http.client.HTTPConnection):
    """The engine's API over its socket, without the CLI: works where only the engine is, and needs no process."""

    def __init__(self) -> None:
        super().__init__("docker", timeout=30)

    def connect(self) -> None:
        path = next((p for p in SOCKETS if os.path.exists(p)), None)
        if path is None:
            raise Refusal("no-docker", "no Docker engine: there is no " + SOCKETS[0])
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        try:
            self.sock.connect(path)
        except OSError as problem:
            raise Refusal("no-docker", f"the Docker engine does not answer on {path}: {problem.strerror}") from problem

    def raw(self, path: str, **query: str) -> bytes:
        self.request("GET", path + ("?" + urllib.parse.urlencode(query) if query else ""))
        reply = self.getresponse()
        body = reply.read()
        if reply.status >= 400:
            raise Refusal("docker", f"Docker said {reply.status} to {path}: {body[:200]!r}")
        return body

    def get(self, path: str, **query: str) -> Any:
        return json.loads(self.raw(path, **query))

    def containers(self, project: str = "", service: str = "") -> Tables:
        labels = ["com.docker.compose.project=" + project] if project else ["com.docker.compose.project"]
        labels += ["com.docker.compose.service=" + service] if service else []
        found: Tables = self.get("/containers/json", all="1", filters=json.dumps({"label": labels}))
        return found


# facts ---------------------------------------------------------------------------------------------------------------


def facts(request: Table) -> Table:
    """All that plan and preflight ask of a host, in one round trip."""
    compose, chains = begun(compose_plugin(), METADATA), begun("iptables", "-w", "-S")
    tables = begun("nft", "list", "tables", "inet")
    found = dict(machine(), **engine(request["project"]))
    found["compose"] = plugin_version(printed(compose))
    found["network"] = network(request["project"], printed(chains).splitlines(), printed(tables).split())
    if request.get("images") and not found["docker"]["problem"]:
        found.update(images(request))
    found["tools"] = {package: bool(shutil.which(tool)) for tool, package in TOOLS.items()}
    record = read_json(state(request, "record.json"))
    files = ours(request, record)
    return dict(
        found,
        packages=packages(request) if lacking(found) else {},
        installed_packages=read_json(request.get("root", "") + PACKAGES) or {},
        free={
            "docker": free(found["docker"]["root_dir"] or "/var/lib"),
            **{at: free(at) for at in ("/etc", "/var/lib")},
        },
        listening=listening(),
        routes=routes(),
        record=record,
        lock=read_lease(request),
        files={path: about(request.get("root", "") + path) for path in sorted(files)},
        strangers=sorted(below(request, etc(request, request["project"])) - files) if request["project"] else [],
        lying=[path for path in request.get("look", []) if os.path.lexists(request.get("root", "") + path)],
        projects=products(request),
        neighbours=neighbours(request),
        accounts=accounts(request),
    )


def lacking(found: Table) -> bool:
    """Whether something is missing that a bundle may bring."""
    return not (found["docker"]["version"] and found["compose"] and all(found["tools"].values()))


def packages(request: Table) -> dict[str, str]:
    """What dpkg has installed, with versions: read from its own file, since asking it takes ten times as long."""
    found = {}
    for stanza in read(request.get("root", "") + "/var/lib/dpkg/status").split("\n\n"):
        said = dict(line.split(": ", 1) for line in stanza.splitlines() if ": " in line and line[0] not in " \t")
        if said.get("Status", "").endswith(" installed"):
            found[said["Package"]] = said.get("Version", "")
    return found


def products(request: Table) -> list[str]:
    """Every product of ours that has anything here, also one that was never installed whole or not removed whole."""
    found = {os.path.basename(os.path.dirname(path)) for path in glob.glob(etc(request, "*", "compose.yaml"))}
    folders = glob.glob(os.path.join(request.get("root", "") + "/var/lib/deployctl", "*", ""))
    return sorted(found | {os.path.basename(os.path.dirname(path)) for path in folders})


def neighbours(request: Table) -> Table:
    """What the records of our other products say that concerns this one."""
    found: Table = {}
    for path in glob.glob(os.path.join(request.get("root", "") + "/var/lib/deployctl", "*", "record.json")):
        project = os.path.basename(os.path.dirname(path))
        if project != request["project"]:
            record = read_json(path)
            found[project] = {key: record.get(key) for key in ("schema", "release", "ports", "pool", "images", "answers")}
    return found


def accounts(request: Table) -> dict[str, str]:
    """People's accounts, number -> name: 1000 and up with a shell that lets them in (Debian policy, 9.2.2)."""
    found = {}
    for line in read(request.get("root", "") + "/etc/passwd").splitlines():
        fields = line.split(":")
        if len(fields) == 7 and 1000 <= int(fields[2]) < 60000 and not fields[6].endswith(("nologin", "false")):
            found[fields[2]] = fields[0]
    return found


def ours(request: Table, record: Table | None) -> set[str]:
    """The record's files, and every secret that lies here: a run that failed has recorded nothing, but left them."""
    return set((record or {}).get("files", [])) | below(request, state(request, "secrets"))


def below(request: Table, place: str) -> set[str]:
    """The files and links in a folder, by the paths that they have without `root`."""
    root = request.get("root", "")
    found: set[str] = set()
    for folder, folders, files in os.walk(place):
        links = [name for name in folders if os.path.islink(os.path.join(folder, name))]
        found.update(os.path.join(folder, name)[len(root) :] for name in files + links)
    return found


def machine() -> Table:
    memory = dict(line.split(":", 1) for line in read("/proc/meminfo").splitlines() if ":" in line)
    return {
        "os": os_release(),
        "kernel": platform.release(),
        "arch": platform.machine(),
        "python": platform.python_version(),
        "boot_id": boot_id(),
        "clock": time.time(),
        "cpus": os.cpu_count(),
        "hostname": socket.gethostname(),
        "memory": kib(memory.get("MemTotal", "0")),
        "memory_free": kib(memory.get("MemAvailable", "0")),
    }


def kib(text: str) -> int:
    return int(text.split()[0]) * 1024


def os_release() -> Table:
    pairs = (line.split("=", 1) for line in read("/etc/os-release").splitlines() if "=" in line)
    known = {key: value.strip("\"'") for key, value in pairs}
    return {"id": known.get("ID", ""), "version": known.get("VERSION_ID", ""), "name": known.get("PRETTY_NAME", "")}


def network(project: str, rules: list[str], tables: list[str]) -> Table:
    """Whether isolation is on, as the kernel has it: a unit that says active proves nothing after `nft flush ruleset`."""
    own = "-A FORWARD -j DOCKER-USER" in rules and "-N DOCKER" in rules
    return {"loaded": table(project) in tables and MARKED in rules, "engine_rules": own or not engine_has_rules()}


def engine_has_rules() -> bool:
    """Whether the engine is to make iptables rules of its own; its administrator may have forbidden it."""
    settings = read_json("/etc/docker/daemon.json") or {}
    return bool(settings.get("iptables", True)) and settings.get("firewall-backend", "iptables") == "iptables"


def compose_plugin() -> str:
    """The file that `docker compose` runs, empty if none: the CLI itself starts every plugin there is before it answers."""
    if not shutil.which("docker"):
        return ""
    home = os.path.expanduser("~/.docker")
    more: list[str] = []
    with contextlib.suppress(Refusal):
        more = (read_json(os.path.join(home, "config.json")) or {}).get("cliPluginsExtraDirs", [])
    folders = [*more, os.path.join(home, "cli-plugins"), *PLUGINS]
    return next((path for path in (os.path.join(folder, "docker-compose") for folder in folders) if os.path.exists(path)), "")


def plugin_version(text: str) -> str:
    with contextlib.suppress(ValueError, AttributeError):
        return str(json.loads(text).get("Version", "")).lstrip("v")
    return ""


def begun(*command: str) -> Any:
    """A program at work; None if it is not there."""
    try:
        quiet = subprocess.DEVNULL
        return subprocess.Popen(command, stdin=quiet, stdout=subprocess.PIPE, stderr=quiet, text=True, cwd="/")
    except OSError:
        return None


def printed(program: Any) -> str:
    """What it printed; nothing if it failed."""
    if program is None:
        return ""
    try:
        text: str = program.communicate(timeout=20)[0]
    except subprocess.TimeoutExpired:
        program.kill()
        program.communicate()
        return ""
    return text if program.returncode == 0 else ""


def table(project: str) -> str:
    """The project's nftables table, as deployctl.desired names it."""
    return "deployctl_" + "".join(char if char.isalnum() else "_" for char in project)


def engine(project: str) -> Table:
    """The engine with its images and the project's containers; a missing engine is a fact, not a failure."""
    absent = {"version": "", "api": "", "store": "", "root_dir": "", "zstd_ok": False, "problem": ""}
    try:
        docker = Docker()
        version, info = docker.get("/version"), docker.get("/info")
        return {
            "docker": {
                "version": version["Version"],
                "api": version["ApiVersion"],
                "store": store(info),
                "problem": "",
                "root_dir": info["DockerRootDir"],
                "zstd_ok": int(version["Version"].split(".")[0]) >= 23,
            },
            "networks": networks(docker),
            "volumes": volumes(docker),
            "containers": containers(docker, project),
            "other_projects": others(docker, project),
        }
    except (Refusal, OSError, ValueError, KeyError, http.client.HTTPException) as problem:
        empty: Table = {"images": [], "networks": [], "volumes": [], "containers": [], "other_projects": []}
        return dict(empty, docker=dict(absent, problem=str(problem) or type(problem).__name__))


def store(info: Table) -> str:
    """Which image store: containerd's names an image by its manifest, the classic one by its config."""
    return "containerd" if "io.containerd.snapshotter.v1" in str(info.get("DriverStatus")) else "classic"


def images(request: Table) -> Table:
    """All images with their layers. Asked for by itself: it costs a call an image, and an install seldom needs it."""
    docker, found = Docker(), []
    for image in docker.get("/images/json"):
        with contextlib.suppress(Refusal):  # removed meanwhile
            layers = docker.get("/images/{}/json".format(image["Id"])).get("RootFS", {}).get("Layers") or []
            tags = [tag for tag in image.get("RepoTags") or [] if tag != "<none>:<none>"]
            found.append({"id": image["Id"], "tags": tags, "diff_ids": layers})
    return {"images": found}


def networks(docker: Docker) -> Tables:
    """Docker's networks with their subnets: a pool of ours must not overlap them."""
    return [
        {
            "name": net["Name"],
            "id": net["Id"],
            "project": (net.get("Labels") or {}).get("com.docker.compose.project", ""),
            "subnets": [c["Subnet"] for c in (net.get("IPAM") or {}).get("Config") or [] if c.get("Subnet")],
        }
        for net in docker.get("/networks")
    ]


def volumes(docker: Docker) -> Tables:
    """Volumes that Compose made, with the project that they belong to."""
    label = "com.docker.compose.project"
    found = docker.get("/volumes", filters=json.dumps({"label": [label]}))["Volumes"] or []
    return [{"name": each["Name"], "project": each["Labels"][label]} for each in found]


def containers(docker: Docker, project: str) -> Tables:
    found = []
    for short in docker.containers(project):
        with contextlib.suppress(Refusal):
            found.append(dict(container(docker.get("/containers/{}/json".format(short["Id"]))), named=short["Image"]))
    return found


def container(c: Table) -> Table:
    """One container. `named`, beside this, is the image's name as long as it still means that image, else its id."""
    now, labels = c["State"], c["Config"].get("Labels") or {}
    return {
        "name": c["Name"].lstrip("/"),
        "service": labels.get("com.docker.compose.service", ""),
        "id": c["Id"],
        "state": now["Status"],
        "health": (now.get("Health") or {}).get("Status", ""),
        "exit_code": now["ExitCode"],
        "image": c["Config"]["Image"],
        "image_id": c["Image"],
        "labels": labels,
        "pid": now["Pid"],
        "restarts": c["RestartCount"],
        "started": now["StartedAt"],
        "networks": [net["NetworkID"] for net in c["NetworkSettings"]["Networks"].values() if net["NetworkID"]],
    }


def others(docker: Docker, project: str) -> list[str]:
    names = {c["Labels"].get("com.docker.compose.project", "") for c in docker.containers()}
    return sorted(names - {project, ""})


def listening() -> Tables:
    """Ports that something listens on, from /proc/net: no ss, no netstat needed."""
    found = set()
    for name, wanted in (("tcp", "0A"), ("tcp6", "0A"), ("udp", "07"), ("udp6", "07")):
        for line in read("/proc/net/" + name).splitlines()[1:]:
            fields = line.split()
            if fields[3] == wanted:
                address, port = fields[1].split(":")
                found.add((name[:3], kernel_address(address), int(port, 16)))
    return [{"protocol": p, "address": a, "port": n} for p, a, n in sorted(found)]


def kernel_address(text: str) -> str:
    """The kernel prints addresses as words in the machine's own byte order."""
    words = struct.unpack(f">{len(text) // 8}I", bytes.fromhex(text))
    return str(ipaddress.ip_address(struct.pack(f"={len(words)}I", *words)))


def routes() -> list[str]:
    """What this host reaches, by network. Bridges of ours (dc-…) are Docker's networks, or a rest of one, in nobody's way."""
    found = set()
    for line in read("/proc/net/route").splitlines()[1:]:
        fields = line.split()
        mask = bin(int(fields[7], 16)).count("1")
        if mask and not fields[0].startswith("dc-"):
            found.add(f"{kernel_address(fields[1])}/{mask}")
    return sorted(found)


def about(path: str) -> Table | None:
    """What lies at a path: sha256, mode and owner of a file, target of a link; None if nothing."""
    try:
        info = os.lstat(path)
        if stat.S_ISLNK(info.st_mode):
            return {"link": os.readlink(path), "uid": info.st_uid, "gid": info.st_gid}
        if stat.S_ISDIR(info.st_mode):
            return {"folder": True, "mode": stat.S_IMODE(info.st_mode), "uid": info.st_uid, "gid": info.st_gid}
        with open(path, "rb") as file:
            digest = hashlib.sha256(file.read()).hexdigest()
    except OSError:
        return None
    return {"sha256": digest, "mode": stat.S_IMODE(info.st_mode), "uid": info.st_uid, "gid": info.st_gid}


# lock, renew, unlock -------------------------------------------------------------------------------------------------


def lock(request: Table) -> Table:
    """Take the lease, unless another's is in force, for whatever product: they share the unit and its loader.

    One run out or of an earlier boot is free; the epoch only grows.
    """
    with exclusive(request):
        lease = read_lease(request)
        for held in (lease, *other_leases(request)):
            if held["held"] and held["run"] != request["run"]:
                raise Refusal("locked", f"{held['holder']} holds the lock", lease=held)
        recorded = (read_json(state(request, "record.json")) or {}).get("epoch", 0)
        epoch = max(lease["epoch"] + 1, recorded + 1, request.get("epoch", 0))
        fresh = {"epoch": epoch, "holder": request["holder"], "run": request["run"], "since": time.time()}
        return write_lease(request, fresh)


def renew(request: Table) -> Table:
    """Prolong a lease of one's own; refused when somebody took it meanwhile, or the host was started again."""
    with exclusive(request):
        return write_lease(request, own(request))


def unlock(request: Table) -> Table:
    """Give the lease back; the epoch stays, so that the next one is higher. Where nothing is left, nothing stays."""
    with exclusive(request):
        save(state(request, "lock.json"), {"schema": 1, "epoch": own(request)["epoch"]})
        folder = os.path.dirname(state(request, "lock.json"))
        if os.listdir(folder) == ["lock.json"]:
            os.unlink(state(request, "lock.json"))
            os.rmdir(folder)
            with contextlib.suppress(OSError):
                os.rmdir(os.path.dirname(folder))
    return {}


def other_leases(request: Table) -> Tables:
    folders = glob.glob(os.path.join(os.path.dirname(state(request)), "*", ""))
    names = {os.path.basename(os.path.dirname(folder)) for folder in folders} - {request["project"]}
    return [read_lease(dict(request, project=name)) for name in sorted(names)]


def own(request: Table) -> Table:
    lease = read_lease(request)
    if (lease["run"], lease["epoch"]) != (request["run"], request["epoch"]):
        words = f"the lock is no longer ours: epoch {request['epoch']}, now {lease['epoch']}"
        raise Refusal("lock-lost", words, lease=lease)
    return {key: lease[key] for key in ("epoch", "holder", "run", "since")}


def read_lease(request: Table) -> Table:
    empty = {"epoch": 0, "holder": "", "run": "", "since": 0.0, "until": 0.0, "boot": "", "expires": 0.0}
    lease = dict(empty, **(read_json(state(request, "lock.json")) or {}))
    return dict(lease, held=bool(lease["run"]) and lease["boot"] == boot_id() and lease["expires"] > uptime())


def write_lease(request: Table, lease: Table) -> Table:
    """`expires` is on the clock that nobody can set and that runs in suspend; `until` is only for people to read."""
    ttl = request["ttl"]
    lease = dict(lease, schema=1, boot=boot_id(), expires=uptime() + ttl, until=time.time() + ttl)
    save(state(request, "lock.json"), lease)
    return {"lease": lease, "epoch": lease["epoch"]}


@contextlib.contextmanager
def exclusive(request: Table) -> Iterator[None]:
    """One at a time on this host: the folder of all products is locked, since the files in it are replaced."""
    folder = os.path.dirname(state(request))
    handle = locked(folder)
    try:
        os.makedirs(state(request), mode=0o755, exist_ok=True)
        yield
        os.fsync(handle)
    finally:
        os.close(handle)


def locked(folder: str) -> int:
    """A handle that holds the folder's lock; whoever held it before may have removed the folder meanwhile."""
    while True:
        os.makedirs(folder, mode=0o755, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(handle, fcntl.LOCK_EX)
        if os.path.isdir(folder) and os.path.samestat(os.fstat(handle), os.stat(folder)):
            return handle
        os.close(handle)


# logs ----------------------------------------------------------------------------------------------------------------


def logs(request: Table) -> Table:
    """The last lines of each of a service's containers."""
    docker, found = Docker(), {}
    for item in docker.containers(request["project"], request["service"]):
        query = {"stdout": "1", "stderr": "1", "tail": str(request.get("lines", 20))}
        body = docker.raw(f"/containers/{item['Id']}/logs", **query)
        found[item["Names"][0].lstrip("/")] = demultiplex(body).decode("utf-8", "replace").splitlines()
    return {"logs": found}


def demultiplex(body: bytes) -> bytes:
    """Docker frames a log without a terminal: stream, three zeros, size, bytes (Engine API, ContainerAttach)."""
    parts, at = [], 0
    while at + 8 <= len(body) and body[at] < 3 and body[at + 1 : at + 4] == b"\0\0\0":
        size = struct.unpack(">I", body[at + 4 : at + 8])[0]
        parts.append(body[at + 8 : at + 8 + size])
        at += 8 + size
    return b"".join(parts) + body[at:]


# small things --------------------------------------------------------------------------------------------------------


def state(request: Table, *names: str) -> str:
    return os.path.join(request.get("root", "") + "/var/lib/deployctl", request["project"], *names)


def etc(request: Table, *names: str) -> str:
    return os.path.join(request.get("root", "") + "/etc/deployctl", *names)


def read(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError:
        return ""


def read_json(path: str) -> Any:
    text = read(path)
    try:
        return json.loads(text) if text else None
    except ValueError as problem:
        raise Refusal("damaged", f"{path} is not JSON: {problem}") from problem


def save(path: str, value: object) -> None:
    """Whole or not at all, and on the disk before it counts."""
    with open(path + ".new", "w", encoding="utf-8") as file:
        json.dump(value, file, indent=1, sort_keys=True)
        file.flush()
        os.fsync(file.fileno())
    os.replace(path + ".new", path)


def boot_id() -> str:
    return read("/proc/sys/kernel/random/boot_id").strip()


def uptime() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def free(path: str) -> int:
    try:
        found = os.statvfs(path)
    except OSError:
        return 0
    return found.f_bavail * found.f_frsize


VERBS = {"facts": facts, "images": images, "lock": lock, "renew": renew, "unlock": unlock, "logs": logs}


def serve() -> None:
    """Answer each line of stdin until there is no more. Whoever asks nothing for so long is gone: nobody stays root for him."""
    os.environ["PATH"] = os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin"
    while True:
        signal.alarm(IDLE)
        line = sys.stdin.buffer.readline()
        signal.alarm(0)
        if not line.endswith(b"\n"):
            return
        sys.stdout.write("\x1e" + json.dumps(answer(json.loads(line))) + "\n")
        sys.stdout.flush()


def answer(request: Table) -> Table:
    """One verb's answer. Nothing escapes as a traceback."""
    try:
        return dict(VERBS[request["verb"]](request), ok=True)
    except Refusal as refusal:
        return refusal.answer
    except Exception as problem:  # noqa: BLE001 - the boundary: the caller gets words, whatever went wrong
        return {"ok": False, "error": "agent", "message": f"{type(problem).__name__}: {problem}"}
