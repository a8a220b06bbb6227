"""Whole installs at rehearsed sites: the first one, one that finds nothing to do, preflight; and what the engines are asked."""

from __future__ import annotations

import re
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deployctl import rehearsal
from deployctl.site import load_site
from places import NETWORKS, ROOT, SUFFIX, USB, VAULT, Place, Vendor, moved

BUNDLE = "collector-1.0.0.bundle.tar"
TIMES = 3
CALL = re.compile(r"(?:Calling|method=)(?: ?)([A-Z]+)[^/]*(/\S*)")


@dataclass(frozen=True)
class Figures:
    """Seconds, and the calls of an install that finds nothing to do, by method and kind, over all hosts."""

    hosts: int
    first: float
    again: float
    again_without_proof: float
    preflight: float
    calls: Counter[str]

    @property
    def image_calls(self) -> int:
        """How often an engine was asked or told about images."""
        return sum(count for call, count in self.calls.items() if "/images" in call)


@contextmanager
def raised(vendor: Vendor, folder: Path, hosts: int) -> Iterator[Place]:
    """The site acme with so many hosts, its deploy node ready; gone afterwards."""
    client = f"acme-bench{SUFFIX}"
    copy = moved(client, "acme", NETWORKS["acme"], folder)
    _widen(copy / "hosts.yml", hosts)
    site = load_site(copy)
    rehearsal.down(client, site.folder)
    rehearsal.up(site, rehearsal.read_flows(site, ROOT / "app"), medium=vendor.medium)
    try:
        place = Place(site)
        place.prepare(BUNDLE)
        yield place
    finally:
        rehearsal.down(client, site.folder)


def _widen(inventory: Path, hosts: int) -> None:
    """More hosts like app2, until there are so many."""
    lines = inventory.read_text().splitlines()
    at = next(number for number, line in enumerate(lines) if "app2:" in line)
    more = [lines[at].replace("app2", f"app{number}").replace(".12}", f".{10 + number}}}") for number in range(3, hosts - 1)]
    inventory.write_text("\n".join([*lines[: at + 1], *more, *lines[at + 1 :], ""]))


def figures(place: Place) -> Figures:
    """Measure one site."""
    print(f"install: measuring at {len(place.site.targets)} hosts", file=sys.stderr, flush=True)
    preflight = _median(lambda: place.deploy(f"deployctl preflight --client {place.client} {VAULT} {USB}/{BUNDLE}"))
    first = _seconds(lambda: place.install(BUNDLE))
    again = _median(lambda: place.install(BUNDLE))
    without = _median(lambda: place.install(BUNDLE, "--no-flows"))
    return Figures(len(place.site.targets), first, again, without, preflight, calls(place, lambda: place.install(BUNDLE)))


def calls(place: Place, work: Callable[[], object]) -> Counter[str]:
    """What each host's engine says that it was asked meanwhile: its debug log, switched on for as long as it takes."""
    names = [host.name for host in place.site.targets]
    for name in names:
        script = """echo '{"debug": true}' > /etc/docker/daemon.json; systemctl reload docker
        until [ "$(docker info -f '{{.Debug}}')" = true ]; do sleep 0.1; done; sleep 1; date '+%F %T' > /run/since"""
        place.on(name, script)
    time.sleep(1)
    work()
    seen: Counter[str] = Counter()
    for name in names:
        said = place.on(name, 'journalctl -u docker -o cat --since "$(cat /run/since)"').stdout
        seen.update(f"{method} {_kind(path)}" for method, path in CALL.findall(said))
        place.on(name, "rm -f /etc/docker/daemon.json /run/since; systemctl reload docker")
    return seen


def _kind(path: str) -> str:
    """A path without its version, its query and what it names: /v1.45/containers/abc/json is /containers/*/json."""
    bare = re.sub(r"^/v[0-9.]+", "", path.strip('"').split("?")[0])
    return re.sub(r"(/(?:containers|images|networks|exec|volumes))/(?!json\b|create\b|prune\b)[^/]+", r"\1/*", bare)


def _median(work: Callable[[], object]) -> float:
    return statistics.median(_seconds(work) for _ in range(TIMES))


def _seconds(work: Callable[[], object]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began
