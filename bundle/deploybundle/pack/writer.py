"""Blobs into the tar, one after another: each is hashed as it is written, and its header comes last."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from deploybundle.open import BlobAt, media
from deploybundle.open.medium import Reading
from deploybundle.open.streams import CHUNK
from deploybundle.open.tar import BLOCK, END, header, padding
from deploybundle.pack.partial import Sink
from deploybundle.pack.problems import EarlierBundleDamaged


@dataclass(frozen=True)
class Blob:
    """A blob in the new bundle: `sha256:…` and its size in bytes."""

    digest: str
    size: int


@dataclass
class Writer:
    """Writes behind the head: `at` is the offset of the next header. No blob is written twice."""

    sink: Sink
    at: int
    blobs: dict[str, Blob] = field(default_factory=dict)

    def put(self, data: bytes) -> Blob:
        """Write these bytes, unless they are there."""
        return self.stream([data])

    def stream(self, chunks: Iterable[bytes], keep: Callable[[Blob], bool] = lambda _: True) -> Blob:
        """Write what the chunks make. It is taken back if it is there already, or if `keep`, asked at the end, says so."""
        found, size = hashlib.sha256(), 0
        for chunk in chunks:
            found.update(chunk)
            self.sink.write(chunk, self.at + BLOCK + size)
            size += len(chunk)
        blob = Blob(f"sha256:{found.hexdigest()}", size)
        if blob.digest in self.blobs or not keep(blob):
            self.take_back()
        else:
            self._finish(blob, self.at)
        return blob

    def take_back(self) -> None:
        """Forget what was written of a blob that is not to be."""
        self.sink.cut(self.at)

    def copy(self, sources: Mapping[str, BlobAt]) -> None:
        """Take blobs out of earlier bundles, on all cores. Each is hashed on the way: what rotted there does not travel on."""
        todo = {digest: source for digest, source in sources.items() if digest not in self.blobs}
        places, at = [], self.at
        for digest, source in todo.items():
            places.append((Blob(digest, source.size), source, at))
            at += BLOCK + source.size + padding(source.size)
        _on_all_cores(lambda place, stop: self._copy(*place, stop), sorted(places, key=lambda place: -place[0].size))
        for blob, _, start in places:
            self._finish(blob, start)

    def _copy(self, blob: Blob, source: BlobAt, at: int, stop: threading.Event) -> None:
        found, done, buffer = hashlib.sha256(), 0, memoryview(bytearray(CHUNK))
        with Reading(source.medium) as file:
            while done < source.size and not stop.is_set():
                count = file.read_into(buffer[: source.size - done], source.offset + done)
                if not count:
                    break
                found.update(buffer[:count])
                self.sink.write(buffer[:count], at + BLOCK + done)
                done += count
        if not stop.is_set() and f"sha256:{found.hexdigest()}" != blob.digest:
            what = f"expected {blob.digest}, got sha256:{found.hexdigest()} ({blob.size} bytes at offset {source.offset})"
            hint = "it is damaged, or was changed meanwhile: move it away and run again"
            raise EarlierBundleDamaged(what, place=str(source.path), hint=hint)

    def _finish(self, blob: Blob, at: int) -> None:
        self.sink.write(_header(blob.digest, blob.size), at)
        end = at + BLOCK + blob.size
        self.sink.write(bytes(padding(blob.size)), end)
        self.at = end + padding(blob.size)
        self.blobs[blob.digest] = blob

    def end(self) -> int:
        """Write the end of the tar. Returns the file's size in bytes."""
        self.sink.write(END, self.at)
        self.sink.cut(self.at + len(END))
        return self.at + len(END)


class Measure(Writer):
    """Writes nothing: what a bundle would be."""

    def __init__(self, head: int) -> None:
        super().__init__(_Nowhere(), head)

    def copy(self, sources: Mapping[str, BlobAt]) -> None:
        for digest, source in sources.items():
            self.blobs[digest] = Blob(digest, source.size)


class _Nowhere:
    def write(self, data: bytes | memoryview, offset: int) -> None:
        pass

    def cut(self, size: int) -> None:
        pass


def _header(digest: str, size: int) -> bytes:
    return header(media.BLOBS + digest.removeprefix("sha256:"), size)


def _on_all_cores(
    work: Callable[[tuple[Blob, BlobAt, int], threading.Event], None], jobs: list[tuple[Blob, BlobAt, int]]
) -> None:
    """All jobs; the first error is raised, and on Ctrl-C the others end within a chunk."""
    stop = threading.Event()
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        try:
            for done in [pool.submit(work, job, stop) for job in jobs]:
                done.result()
        except BaseException:
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise
