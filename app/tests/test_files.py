"""The source `file`: what it reads, what it refuses, and that nothing outside the permitted folders is read."""

import os
from pathlib import Path
from typing import Any

import pytest

from collector.sources.files import SourceError, read

GOOD: list[tuple[str, bytes, list[dict[str, Any]]]] = [
    ("a.csv", b"x,y\n1,2\n3,4\n", [{"x": "1", "y": "2"}, {"x": "3", "y": "4"}]),
    ("bom.csv", b"\xef\xbb\xbfx\r\n1\r\n", [{"x": "1"}]),
    ("quoted.CSV", b'x,y\n"a\nb","c,d"\n', [{"x": "a\nb", "y": "c,d"}]),
    ("gaps.csv", b"x\n\n1\n\n", [{"x": "1"}]),
    ("none.csv", b"x\n", []),
    ("a.json", '[{"x": "ä"}]'.encode(), [{"x": "ä"}]),
    ("a.jsonl", b'{"x": 1}\n\n{"y": [null]}\n', [{"x": 1}, {"y": [None]}]),
    ("a.ndjson", b'{"x": 1}', [{"x": 1}]),
    ("backslash.json", rb'[{"x": "\\u0000"}]', [{"x": "\\u0000"}]),
]
BAD: list[tuple[str, bytes, str]] = [
    ("empty.csv", b"", "line 1: a header"),
    ("unnamed.csv", b"x,\n", "line 1: a header"),
    ("twice.csv", b"x,x\n", "occurs twice"),
    ("ragged.csv", b"x,y\n1,2\n3\n", "line 3: has 1 values, the header 2"),
    ("latin.csv", b"x\n\xe4\n", "not UTF-8"),
    ("open.csv", b'x\n"a\n', "line 2: unexpected end"),
    ("object.json", b'{"x": 1}', "must be an array"),
    ("scalar.json", b"[1]", "item 1: is not an object"),
    ("broken.json", b"[{", "line 1 column 3"),
    ("broken.jsonl", b'{"x": 1}\n{"x"\n', "line 2"),
    ("nan.json", b'[{"x": NaN}]', "NaN is no JSON"),
    ("infinite.json", b'[{"x": 1e999}]', "row 1"),
    ("surrogate.json", rb'[{"x": "\ud800"}]', "row 1"),
    ("nul.json", rb'[{"x": "\u0000"}]', "row 1: holds the character NUL"),
    ("nul.csv", b"x\na\0b\n", "NUL"),
    ("deep.json", b"[" * 200_000, "nested too deeply"),
    ("unknown.xml", b"<x/>", "ending .xml is none of"),
    ("big.csv", b"x\n" + b"1\n" * 600, "has 1202 bytes, permitted are 1000"),
    ("long.csv", b"x\n" + b"1\n" * 101, "more than the 100 rows"),
]


def read_all(path: Path | str, *folders: Path, form: str = "auto") -> list[dict[str, Any]]:
    return [row for batch in read(str(path), form, folders, 250_000 if "deep" in str(path) else 1000, 100) for row in batch]


@pytest.mark.parametrize(("name", "content", "rows"), GOOD, ids=[case[0] for case in GOOD])
def test_reads(tmp_path: Path, name: str, content: bytes, rows: list[dict[str, Any]]) -> None:
    (tmp_path / name).write_bytes(content)
    assert read_all(tmp_path / name, tmp_path) == rows


@pytest.mark.parametrize(("name", "content", "message"), BAD, ids=[case[0] for case in BAD])
def test_refuses_with_the_place(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SourceError, match=message):
        read_all(tmp_path / name, tmp_path)


def test_the_format_can_be_said(tmp_path: Path) -> None:
    (tmp_path / "data.txt").write_text("x\n1\n")
    assert read_all(tmp_path / "data.txt", tmp_path, form="csv") == [{"x": "1"}]


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A permitted folder `in`, its neighbour `out` and ways from one to the other."""
    for folder in ("in", "out"):
        (tmp_path / folder).mkdir()
    (tmp_path / "out" / "secret.csv").write_text("x\n1\n")
    (tmp_path / "in" / "link.csv").symlink_to("../out/secret.csv")
    (tmp_path / "in" / "folder").symlink_to("../out")
    (tmp_path / "in" / "inner.csv").write_text("x\n1\n")
    (tmp_path / "in" / "inner-link.csv").symlink_to("inner.csv")
    (tmp_path / "in" / "a-folder.csv").mkdir()
    os.mkfifo(tmp_path / "in" / "pipe.csv")
    return tmp_path


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("in/link.csv", "not below a permitted folder"),
        ("in/folder/secret.csv", "not below a permitted folder"),
        ("in/../out/secret.csv", "not below a permitted folder"),
        ("out/secret.csv", "not below a permitted folder"),
        ("in2.csv", "cannot be opened: No such file"),
        ("in/a-folder.csv", "not a regular file"),
        ("in/pipe.csv", "not a regular file"),
        ("in/a\0b.csv", "cannot be opened"),
    ],
)
def test_there_is_no_way_out_of_the_folder(house: Path, path: str, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        read_all(f"{house}/{path}", house / "in")


def test_a_link_within_the_folder_is_followed(house: Path) -> None:
    assert read_all(house / "in" / "inner-link.csv", house / "in") == [{"x": "1"}]


def test_a_permitted_folder_may_itself_be_a_link(house: Path) -> None:
    assert read_all(house / "in" / "link.csv", house / "in" / "folder") == [{"x": "1"}]
