"""The lock on all hosts of a run: taken on each or on none, renewed while the run lasts, given back at its end."""

from __future__ import annotations

import concurrent.futures
import contextlib
import getpass
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

from deploybundle.errors import DeployctlError, LockedError
from deployctl.apply.failures import HostLost
from deployctl.hosts import ask
from deployctl.hosts.errors import collect
from deployctl.site import Host, Site

TTL = 60.0
"""Seconds that a dead holder blocks a host. A live one renews at a third of it."""


class Lease:
    """What is held: `epochs` by host. `check` raises once it is lost."""

    def __init__(self, site: Site, hosts: Sequence[Host], project: str, run: str, ttl: float = TTL) -> None:
        self.site, self.hosts, self.project, self.run, self.ttl = site, list(hosts), project, run, ttl
        self.epochs: dict[str, int] = {}
        self._lost: DeployctlError | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)

    @property
    def epoch(self) -> int:
        """The number of this run: higher than that of any run before it on any of the hosts."""
        return max(self.epochs.values(), default=0)

    def check(self) -> None:
        """Raise what made us lose the lease, if it is lost."""
        if self._lost is not None:
            raise self._lost

    def take(self) -> None:
        """Lock every host, or none: what was locked is given back when another refuses."""
        request = {"holder": f"{getpass.getuser()}@{socket.gethostname()}", "ttl": self.ttl}
        jobs = self._ask("lock", request, self.hosts)
        self.epochs = {name: int(job.result()["epoch"]) for name, job in jobs.items() if job.exception() is None}
        try:
            collect(jobs)
        except DeployctlError:
            self.release()
            raise
        self._thread.start()

    def release(self) -> None:
        """Give back. A host that does not answer keeps its lease until it runs out."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        self._ask("unlock", {}, self._held())

    def _keep(self) -> None:
        renewed = time.monotonic()
        while not self._stop.wait(self.ttl / 3) and self._lost is None:
            asked = self._ask("renew", {"ttl": self.ttl}, self._held())
            problems = {name: problem for name, job in asked.items() if (problem := job.exception())}
            self._lost = next((problem for problem in problems.values() if isinstance(problem, LockedError)), None)
            if not problems:
                renewed = time.monotonic()
            elif time.monotonic() - renewed > self.ttl and self._lost is None:
                name, problem = next(iter(problems.items()))
                self._lost = HostLost(f"its lock was not renewed for {self.ttl:g} s: {problem}", place=name)

    def _held(self) -> list[Host]:
        return [host for host in self.hosts if host.name in self.epochs]

    def _ask(
        self, verb: str, request: dict[str, Any], hosts: Sequence[Host]
    ) -> dict[str, concurrent.futures.Future[dict[str, Any]]]:
        asked = {"project": self.project, "run": self.run, **request}
        with concurrent.futures.ThreadPoolExecutor(max(1, min(32, len(hosts)))) as pool:
            return {host.name: pool.submit(self._one, host, verb, asked) for host in hosts}

    def _one(self, host: Host, verb: str, request: dict[str, Any]) -> dict[str, Any]:
        if host.name in self.epochs:
            request = {**request, "epoch": self.epochs[host.name]}
        return ask(host, self.site.known_hosts, verb, request, limit=self.ttl, again=verb != "lock")


@contextlib.contextmanager
def hold(site: Site, hosts: Sequence[Host], project: str, run: str, ttl: float = TTL) -> Iterator[Lease]:
    """Hold the lock on the hosts for the length of the block.

    Raises LockedError that says who has it since when, or the SiteErrors of the hosts; then nothing is locked.
    """
    lease = Lease(site, hosts, project, run, ttl)
    lease.take()
    try:
        yield lease
    finally:
        lease.release()
