"""Every blob against its digest, on every core: hashlib lets go of the GIL, so threads are enough."""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from deploybundle.open.bundle import Bundle
from deploybundle.open.medium import Handle, Medium, Reading
from deploybundle.open.parts import part_named
from deploybundle.open.problems import AGAIN, BlobDamaged, NoBundle
from deploybundle.open.streams import CHUNK

Progress = Callable[[int, int], None]


@dataclass
class _Work:
    """What the threads share. `jobs` are (number from 1, digest), the largest blob first, so that the cores end together."""

    bundle: Bundle
    files: Mapping[Medium, Handle]
    progress: Progress | None
    jobs: Iterator[tuple[int, str]]
    total: int
    done: int = 0
    problems: dict[int, BlobDamaged] = field(default_factory=dict)
    stop: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def next(self) -> tuple[int, str] | None:
        with self.lock:
            return None if self.stop.is_set() else next(self.jobs, None)

    def add(self, count: int) -> None:
        with self.lock:
            self.done += count
            if self.progress:
                self.progress(self.done, self.total)


def verify_blobs(bundle: Bundle, progress: Progress | None = None) -> None:
    """Hash every blob. BlobDamaged names the first one that differs: its number, offset, and both digests.

    `progress(done, total)` in bytes is called from any thread, one call at a time. Memory: 1 MiB for each core.
    """
    blobs = bundle.blobs
    numbered = sorted(enumerate(blobs, 1), key=lambda job: -blobs[job[1]].size)
    try:
        with contextlib.ExitStack() as stack:
            media = {at.medium for at in blobs.values()}
            files = {medium: stack.enter_context(Reading(medium)) for medium in media}
            work = _Work(bundle, files, progress, iter(numbered), sum(at.size for at in blobs.values()))
            _run(work)
    except OSError as error:
        raise NoBundle(f"cannot be read: {error.strerror}", place=str(bundle.path)) from error
    if work.problems:
        number = min(work.problems)
        with part_named(blobs[list(blobs)[number - 1]].medium):
            raise work.problems[number]


def _run(work: _Work) -> None:
    cores = len(os.sched_getaffinity(0))
    with ThreadPoolExecutor(cores) as pool:
        threads = [pool.submit(_hash_all, work) for _ in range(cores)]
        try:
            for thread in threads:
                thread.result()
        finally:
            work.stop.set()  # also on Ctrl-C: the other threads end within a chunk


def _hash_all(work: _Work) -> None:
    buffer = memoryview(bytearray(CHUNK))
    while job := work.next():
        number, digest = job
        got = _hash(work, digest, buffer)
        if got != digest and not work.stop.is_set():
            work.problems[number] = _problem(work.bundle, number, digest, got)
            work.stop.set()


def _hash(work: _Work, digest: str, buffer: memoryview) -> str:
    at, found, done = work.bundle.blobs[digest], hashlib.sha256(), 0
    file = work.files[at.medium]
    while done < at.size and not work.stop.is_set():
        count = file.read_into(buffer[: at.size - done], at.offset + done)
        if not count:
            break
        found.update(buffer[:count])
        done += count
        work.add(count)
    return f"sha256:{found.hexdigest()}"


def _problem(bundle: Bundle, number: int, digest: str, got: str) -> BlobDamaged:
    at = bundle.blobs[digest]
    where = f"blob {number} of {len(bundle.blobs)}, {at.size} bytes at offset {at.offset}"
    return BlobDamaged(f"expected {digest}, got {got} ({where})", place=str(at.path), hint=AGAIN)
