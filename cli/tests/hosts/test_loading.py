"""Several images at once, and none is applied before the layers that it stands on."""

from __future__ import annotations

import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sites import image

from deploybundle.open import Image
from deployctl.hosts.loading import ABREAST, Ready, Sending, held_back, in_order, load_all

STACKS = st.lists(st.lists(st.sampled_from([b"a", b"bb", b"ccc"]), min_size=1, max_size=3, unique=True), max_size=6)


def chains(one: Image) -> list[tuple[str, ...]]:
    ids = tuple(layer.diff_id for layer in one.layers)
    return [ids[: number + 1] for number in range(len(ids))]


def planned(images: list[Image]) -> list[Sending]:
    """Each counting on what the ones before it bring."""
    there: set[tuple[str, ...]] = set()
    sending = list[Sending]()
    for one in images:
        sending.append((one, [number for number, chain in enumerate(chains(one)) if chain not in there]))
        there |= set(chains(one))
    return sending


class Engine:
    """Refuses what stands on nothing, as an engine does."""

    def __init__(self, sending: list[Sending], wait: float = 0.0) -> None:
        self.sending, self.wait = sending, wait
        self.there: set[tuple[str, ...]] = set()
        self.busy = self.most = 0
        self.lock = threading.Lock()

    def load(self, number: int, ready: Ready) -> int:
        one, sent = self.sending[number]
        with self.lock:
            self.busy += 1
            self.most = max(self.most, self.busy)
        assert b"".join(held_back(iter([b"a", b"b", b"c"]), ready)) == b"abc"
        with self.lock:
            assert {chain for at, chain in enumerate(chains(one)) if at not in sent} <= self.there
        time.sleep(self.wait)
        with self.lock:
            self.there |= set(chains(one))
            self.busy -= 1
        return number


@settings(max_examples=50, deadline=None)
@given(STACKS)
def test_no_image_is_loaded_before_the_layers_that_it_counts_on(stacks: list[list[bytes]]) -> None:
    sending = planned([image(f"shop/{number}:1", *layers) for number, layers in enumerate(stacks)])
    engine = Engine(sending, 0.001)
    assert load_all(sending, engine.load) == list(range(len(sending)))
    assert engine.there == {chain for one, _ in sending for chain in chains(one)}
    assert engine.most <= ABREAST


def test_images_travel_while_the_one_that_they_count_on_is_applied() -> None:
    sending = planned([image(f"shop/{name}:1", b"base", name) for name in (b"a", b"b", b"c", b"d")])
    engine = Engine(sending, 0.1)
    load_all(sending, engine.load)
    assert engine.most == ABREAST


def test_the_end_of_an_image_is_not_sent_when_one_failed_that_it_counts_on() -> None:
    sending = planned([image("shop/a:1", b"x"), image("shop/b:1", b"x", b"y")])
    sent = list[bytes]()

    def load(number: int, ready: Ready) -> int:
        if number == 0:
            raise ValueError("image 0")
        sent.extend(held_back(iter([b"all", b"but", b"the end"]), ready))
        return 0

    with pytest.raises(ValueError, match="image 0"):
        load_all(sending, load)
    assert b"the end" not in sent


def test_after_a_failure_nothing_more_is_begun() -> None:
    sending = planned([image(f"shop/{number}:1", bytes([number])) for number in range(2 * ABREAST)])
    begun = list[int]()

    def load(number: int, ready: Ready) -> int:
        begun.append(number)
        time.sleep(0.1 * (number > 0))
        if number == 0:
            raise ValueError("image 0")
        return 0

    with pytest.raises(ValueError, match="image 0"):
        load_all(sending, load)
    assert len(begun) <= ABREAST + 1


def test_the_smallest_goes_first_and_then_the_largest() -> None:
    sizes = {
        1: image("shop/a:1", b"base", b"a"),
        9: image("shop/b:1", b"base", b"b" * 9),
        5: image("shop/c:1", b"base", b"c" * 5),
    }
    assert in_order(list(sizes.values())) == [sizes[1], sizes[9], sizes[5]]
    assert in_order([]) == []
