"""Images into one engine, several at once: it applies an image on one core, and only once it has all of its archive."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

from deploybundle.open import Image

ABREAST = 3  # two that are applied and one that travels; each needs a session of the host's connection

Sending = tuple[Image, Sequence[int]]
"""An image, and which of its layers are sent."""
Ready = Callable[[], None]


def in_order(images: Sequence[Image]) -> list[Image]:
    """The smallest first: what others have in common with it is there early. Then the largest, which take longest."""
    ordered = sorted(images, key=lambda image: (_size(image), image.ref))
    return [*ordered[:1], *reversed(ordered[1:])]


def _size(image: Image) -> int:
    return sum(layer.raw_size for layer in image.layers)


def load_all(images: Sequence[Sending], load: Callable[[int, Ready], int]) -> list[int]:
    """Load each by its number. `load` also gets a function that waits for the images whose layers this one counts on.

    It raises if one of those failed, and is to be called before the end of the archive is sent (`held_back`).
    Returns what `load` did, in order. The first error is raised once those that were begun have ended.
    """
    with ThreadPoolExecutor(ABREAST) as pool:
        begun: list[Future[int]] = []
        for number, one in enumerate(images):
            before = [done for done, other in zip(begun, images, strict=False) if _counts_on(one, other)]
            begun.append(pool.submit(load, number, partial(_wait, before)))
        try:
            return [done.result() for done in begun]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _wait(before: Sequence[Future[int]]) -> None:
    """They were submitted earlier, so they run or have run: nobody waits for ever."""
    for done in before:
        done.result()


def held_back(stream: Iterator[bytes], ready: Ready) -> Iterator[bytes]:
    """The stream, its last piece only when all is ready: an engine that has all but the end of an archive waits for it."""
    last = b""
    for chunk in stream:
        yield last
        last = chunk
    ready()
    yield last


def _counts_on(one: Sending, other: Sending) -> bool:
    """Whether a layer that `one` does not send is one that `other` does, on the same layers below it."""
    (image, sent), (below, brought) = one, other
    for number, (mine, its) in enumerate(zip(image.layers, below.layers, strict=False)):
        if mine.diff_id != its.diff_id:
            return False
        if number in brought and number not in sent:
            return True
    return False
