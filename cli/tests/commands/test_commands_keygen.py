"""A key's passphrase, typed at a terminal: of a new key, and of one that is there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from said import Deployctl

from deploybundle.trust import load_private

Typing = Callable[..., list[str]]
UNPROTECTED = "is NOT protected by a passphrase"


@pytest.fixture
def typing(home: Path, monkeypatch: pytest.MonkeyPatch) -> Typing:
    """Somebody at the terminal who types these words; the questions that he was asked."""

    def person(*words: str) -> list[str]:
        asked: list[str] = []
        left = iter(words)
        monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
        monkeypatch.setattr("getpass.getpass", lambda question: asked.append(question) or next(left))
        return asked

    return person


def test_the_passphrase_is_typed_twice_alike(deployctl: Deployctl, typing: Typing, home: Path) -> None:
    typing("one", "other")
    said = deployctl("keygen", "--key", "k")
    assert "[passphrases-differ]" in said.err and not (home / "k").exists()
    typing("one", "one")
    assert UNPROTECTED not in deployctl("keygen", "--key", "k").err
    assert load_private(home / "k", b"one")


def test_a_key_without_a_passphrase_says_so_at_the_end(deployctl: Deployctl, typing: Typing) -> None:
    typing("")
    assert UNPROTECTED in deployctl("keygen", "--key", "k").err.splitlines()[-1]
    assert UNPROTECTED in deployctl("keygen", "--key", "other", "--no-passphrase", "--json").err.splitlines()[-1]


@pytest.mark.parametrize("there", ["k", "k.pub"])
def test_a_key_that_is_there_is_told_before_anything_is_asked(
    deployctl: Deployctl, typing: Typing, home: Path, there: str
) -> None:
    (home / there).write_text("mine")
    asked = typing("one", "one")
    said = deployctl("keygen", "--key", "k")
    assert "[key-exists]" in said.err and asked == []
    assert sorted(path.name for path in home.glob("k*")) == [there]


def test_a_bundle_asks_for_the_passphrase_of_its_key_and_says_that_it_was_wrong(
    deployctl: Deployctl, typing: Typing, home: Path
) -> None:
    (home / "phrase").write_text("right")
    deployctl("keygen", "--key", "k", "--passphrase-file", "phrase")
    asked = typing("wrong", "right")
    said = deployctl("bundle", home, "--key", "k")
    assert asked == ["Passphrase of k: "]
    assert "the passphrase that was typed does not open" in said.err and "--passphrase-file" not in said.err
    assert "[key-passphrase]" not in deployctl("bundle", home, "--key", "k").err
