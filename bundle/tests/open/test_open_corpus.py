"""Every input that the fuzzer ever kept: each reader says yes or no, and nothing else happens."""

from __future__ import annotations

from pathlib import Path

import pytest
from targets import TARGETS, feed

CORPUS = sorted((Path(__file__).parents[2] / "fuzz" / "corpus").iterdir())


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.name)
def test_an_input_of_the_corpus_breaks_no_reader(path: Path) -> None:
    feed(path.read_bytes())


def test_every_reader_has_an_input() -> None:
    assert {path.read_bytes()[0] % len(TARGETS) for path in CORPUS} == set(range(len(TARGETS)))
