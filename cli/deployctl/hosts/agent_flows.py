"""The agent's verbs about connections: try them, and watch what arrives. Travels behind agent.py, as one program with it.

UDP says nothing when it arrives, so what is sent carries a token, and `watch` looks for that token in the containers' own
networks and on the ports of the host: what was seen there got through, whatever the service answers.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import resource
import select
import signal
import socket
import time
from typing import Any

from deployctl.hosts.agent import VERBS, Docker, Refusal, Table, Tables, begun, containers, printed, read, save

# travels from here

CLONE_NEWNET = 0x40000000
SO_MARK = 36
PASS_MARK = 0x10000000  # desired.network.MARK: by it our own table knows a trial of the host itself
OUTGOING = 4  # PACKET_OUTGOING of linux/if_packet.h
EVERY_FRAME = 0x0003  # ETH_P_ALL
BATCH = 400
FORBIDDEN_WAIT = 1.0
RUN = "/run/deployctl"


def probe(request: Table) -> Table:
    """Try each connection from where it would come, all at once: a container's network namespace, or the host's."""
    by_source: dict[str, Tables] = {}
    for item in request["probes"]:
        by_source.setdefault(item.get("from") or "", []).append(dict(item, token=request.get("token", "")))
    pids = running(request["project"]) if any(by_source) else {}
    timeout, results, trying = request.get("timeout", 2.0), {}, []
    for name, items in by_source.items():
        if name and name not in pids:
            results.update({item["id"]: "no-container" for item in items})
        else:
            trying.append((items, *from_inside(pids.get(name, 0), items, timeout)))
    for items, child, reader in trying:
        results.update(told(items, child, reader))
    return {"results": results}


def running(project: str) -> dict[str, int]:
    return {item["service"]: item["pid"] for item in containers(Docker(), project) if item["pid"]}


def from_inside(pid: int, probes: Tables, timeout: float) -> tuple[int, int]:
    """Try in a child of its own, since a namespace is entered and never left; its number, and the pipe that it writes to."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.close(reader)
            if pid:
                enter(f"/proc/{pid}/ns/net")
            with os.fdopen(writer, "w") as out:
                json.dump(attempt(probes, timeout), out)
            status = 0
        finally:
            os._exit(status)
    os.close(writer)
    return child, reader


def told(probes: Tables, child: int, reader: int) -> dict[str, str]:
    """What a child found out; nothing if its container went away."""
    with os.fdopen(reader) as pipe:
        text = pipe.read()
    os.waitpid(child, 0)
    with contextlib.suppress(ValueError):
        found: dict[str, str] = json.loads(text)
        return found
    return {item["id"]: "no-container" for item in probes}


def enter(namespace: str) -> None:
    with open(namespace) as handle:
        if set_network(handle.fileno()) != 0:
            raise OSError(ctypes.get_errno(), "setns")


def set_network(handle: int) -> int:
    return int(ctypes.CDLL(None, use_errno=True).setns(handle, CLONE_NEWNET))


def attempt(probes: Tables, timeout: float) -> dict[str, str]:
    found: dict[str, str] = {}
    for first in range(0, len(probes), BATCH):
        found.update(Attempt(probes[first : first + BATCH], timeout).run())
    return found


class Attempt:
    """Some connections, tried at once. What must be shut is waited for less long: a refusal comes soon or not at all."""

    def __init__(self, probes: Tables, timeout: float) -> None:
        self.probes, self.timeout = probes, timeout
        self.results: dict[str, str] = {}
        self.waiting: dict[int, Any] = {}
        self.poll = select.poll()

    def run(self) -> dict[str, str]:
        began = time.monotonic()
        for item in self.probes:
            try:
                self.begin(item)
            except OSError as problem:
                self.results[item["id"]] = verdict(problem.errno or 0)
        again = began + 0.4
        while self.waiting and time.monotonic() < began + self.timeout:
            for fd, _ in self.poll.poll(50):
                self.end(fd)
            if time.monotonic() > again:
                again = began + self.timeout
                self.repeat()
            if time.monotonic() > began + min(self.timeout, FORBIDDEN_WAIT):
                self.give_up([fd for fd, (item, _) in self.waiting.items() if item.get("shut")])
        self.give_up(list(self.waiting))
        return self.results

    def begin(self, item: Table) -> None:
        udp = item.get("protocol", "tcp") == "udp"
        family = socket.AF_INET6 if ":" in item["address"] else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_DGRAM if udp else socket.SOCK_STREAM)
        sock.setblocking(False)
        if item.get("pass"):
            sock.setsockopt(socket.SOL_SOCKET, SO_MARK, PASS_MARK)
        code = sock.connect_ex((item["address"], item["port"]))
        if udp and code == 0:  # only an answer, a refusal or a watcher tells anything
            sock.send(datagram(item))
        if code not in (0, errno.EINPROGRESS) or (code == 0 and not udp):
            self.results[item["id"]] = verdict(code)
            return
        self.waiting[sock.fileno()] = (item, sock)
        self.poll.register(sock, select.POLLIN if udp else select.POLLOUT)

    def end(self, fd: int) -> None:
        item, sock = self.waiting.pop(fd)
        self.poll.unregister(fd)
        self.results[item["id"]] = verdict(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
        sock.close()

    def repeat(self) -> None:
        """A datagram may get lost on its way: once more."""
        for item, sock in self.waiting.values():
            if sock.type == socket.SOCK_DGRAM:
                with contextlib.suppress(OSError):
                    sock.send(datagram(item))

    def give_up(self, fds: list[int]) -> None:
        for fd in fds:
            item, sock = self.waiting.pop(fd)
            self.poll.unregister(fd)
            sock.close()
            self.results[item["id"]] = "timeout"


def datagram(item: Table) -> bytes:
    return f"deployctl:{item['token']}:{item['id']}\n".encode() if item.get("token") else b"\n"


def verdict(code: int) -> str:
    if code == 0:
        return "open"
    return {errno.ECONNREFUSED: "refused", errno.ETIMEDOUT: "timeout"}.get(code, "unreachable")


# watch, watched ------------------------------------------------------------------------------------------------------


def watch(request: Table) -> Table:
    """From now on, for some seconds: note which tokens arrive in the project's containers and at ports of the host.

    `listen` is a list of [protocol, port] of the host's own, opened where nothing listens yet; `busy` are the others.
    """
    os.makedirs(RUN, mode=0o700, exist_ok=True)
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    watcher = Watcher(request["token"])
    for protocol, port in request.get("listen", []):
        watcher.listen(protocol, port)
    for service, pid in pids_of(request["project"]).items():
        watcher.sniff(service, pid)
    between = os.fork()
    if between == 0:  # a child's child, whom init buries: this agent may be gone by then, or work on for long
        if os.fork() == 0:
            watcher.live(float(request.get("seconds", 30)))
        os._exit(0)
    os.waitpid(between, 0)
    watcher.close()
    return {"busy": watcher.busy, "addresses": own_ipv6()}


def watched(request: Table) -> Table:
    """End the watch; what arrived, as [where, id of the probe]; where is a service, or empty for the host itself."""
    path = os.path.join(RUN, f"watch-{request['token']}")
    with contextlib.suppress(OSError, ValueError):
        os.kill(int(read(path + ".pid")), signal.SIGTERM)
    last = time.monotonic() + 5
    while not os.path.exists(path + ".json"):
        if time.monotonic() > last:
            raise Refusal("watch-lost", "the watch for what arrives ended without a word")
        time.sleep(0.02)
    found = json.loads(read(path + ".json"))
    for end in (".json", ".pid"):
        with contextlib.suppress(OSError):
            os.remove(path + end)
    return {"heard": found}


def pids_of(project: str) -> dict[str, int]:
    """The project's containers; none where there is no engine yet."""
    try:
        return running(project)
    except Refusal:
        return {}


def own_ipv6() -> list[str]:
    """The host's own IPv6 addresses that others can call: none of loopback, link or containers."""
    listed = json.loads(printed(begun("ip", "-j", "-6", "addr", "show", "scope", "global")) or "[]")
    links = [one for one in listed if not one.get("ifname", "lo").startswith(("lo", "docker", "br-", "dc-", "veth"))]
    return [address["local"] for one in links for address in one.get("addr_info", []) if "local" in address]


class Watcher:
    """Sockets that listen, in the host's network and in containers'."""

    def __init__(self, token: str) -> None:
        self.token = token
        self.busy: list[Any] = []
        self.sockets: dict[int, tuple[str, str, Any]] = {}
        self.heard: set[tuple[str, str]] = set()

    def listen(self, protocol: str, port: int) -> None:
        """Both kinds of address with one socket where the host has IPv6, else the one."""
        kind = socket.SOCK_DGRAM if protocol == "udp" else socket.SOCK_STREAM
        for family, address in ((socket.AF_INET6, "::"), (socket.AF_INET, "0.0.0.0")):  # noqa: S104 - for some seconds
            with contextlib.suppress(OSError):
                sock = socket.socket(family, kind)
                if family == socket.AF_INET6:
                    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
                if protocol == "tcp":
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                sock.bind((address, port))
                if protocol == "tcp":
                    sock.listen(64)
                self.sockets[sock.fileno()] = ("", protocol, sock)
                return
        self.busy.append([protocol, port])

    def sniff(self, service: str, pid: int) -> None:
        """A socket stays in the network in which it was made, so that one process can hold those of all containers."""
        with open("/proc/self/ns/net") as home, contextlib.suppress(OSError):
            enter(f"/proc/{pid}/ns/net")
            try:
                sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(EVERY_FRAME))
                self.sockets[sock.fileno()] = (service, "frame", sock)
            finally:
                if set_network(home.fileno()) != 0:
                    os._exit(1)  # whoever stays in a container's network would tell lies about the host's

    def close(self) -> None:
        """Whoever does not watch himself holds no port."""
        for _, _, sock in self.sockets.values():
            sock.close()

    def live(self, seconds: float) -> None:
        """A process of its own, which ends by itself: nobody is left listening when the connection breaks."""
        try:
            os.setsid()
            path = os.path.join(RUN, f"watch-{self.token}")
            signal.signal(signal.SIGTERM, lambda *_: self.sockets.clear())
            save(path + ".pid", os.getpid())
            null = os.open(os.devnull, os.O_RDWR)
            for number in (0, 1, 2):
                os.dup2(null, number)
            self.look(time.monotonic() + seconds)
            save(path + ".json", sorted(self.heard))
        finally:
            os._exit(0)

    def look(self, until: float) -> None:
        held = dict(self.sockets)  # kept open although the signal clears the other
        while self.sockets and time.monotonic() < until:
            ready, _, _ = select.select(list(held), [], [], 0.05)
            for fd in ready:
                with contextlib.suppress(OSError):
                    self.take(*held[fd])

    def take(self, where: str, kind: str, sock: Any) -> None:
        if kind == "tcp":
            sock.accept()[0].close()
            return
        data, sender = sock.recvfrom(65536, socket.MSG_DONTWAIT)
        if kind == "frame" and (sender[2] == OUTGOING or not is_udp(data)):
            return
        _, found, rest = data.partition(f"deployctl:{self.token}:".encode())
        if found:
            self.heard.add((where, rest.partition(b"\n")[0].decode("utf-8", "replace")))


def is_udp(packet: bytes) -> bool:
    """An ICMP refusal quotes what it refuses, token and all; only the datagram itself has arrived."""
    return packet[9:10] == b"\x11" if packet[:1] < b"\x60" else packet[6:7] == b"\x11"


VERBS.update(probe=probe, watch=watch, watched=watched)
