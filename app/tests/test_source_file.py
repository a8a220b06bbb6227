"""The source `file`: what it reads and what it refuses, with the place."""

import csv
import gzip
import io
import json
import os
import tempfile
import threading
import tracemalloc
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from source_context import Rows, all_batches, context, refusal, rows

from collector.sources import BATCH_ROWS, Batch, Cancelled, SourceError, plain
from collector.sources.chunks import CHUNK, lines_of, text_pieces, unpacked
from collector.sources.elements import elements
from collector.sources.file import Config, CsvOptions, collect, csv_batches, read
from collector.sources.records import texts

GOOD: list[tuple[str, bytes, dict[str, Any], Rows]] = [
    ("a.csv", b"x,y\n1,2\n3,4\n", {}, [{"x": "1", "y": "2"}, {"x": "3", "y": "4"}]),
    ("bom.csv", b"\xef\xbb\xbfx\r\n1\r\n", {}, [{"x": "1"}]),
    ("quoted.CSV", b'x,y\n"a\nb","c,d"\n', {}, [{"x": "a\nb", "y": "c,d"}]),
    ("crlf-within.csv", b'x\r\n"a\r\nb"\r\n', {}, [{"x": "a\r\nb"}]),
    ("mac.csv", b"x,y\r1,2\r3,4", {}, [{"x": "1", "y": "2"}, {"x": "3", "y": "4"}]),
    ("gaps.csv", b"x\n\n1\n\n", {}, [{"x": "1"}]),
    ("none.csv", b"x\n", {}, []),
    ("a.tsv", b"x\ty\n1\t2\n", {"csv": {"delimiter": "\t"}}, [{"x": "1", "y": "2"}]),
    ("semicolon.csv", b"x;y\n'1;';2\n", {"csv": {"delimiter": ";", "quote": "'"}}, [{"x": "1;", "y": "2"}]),
    ("escape.csv", rb'x' + b"\n" + rb'"a\"b"', {"csv": {"escape": "\\"}}, [{"x": 'a"b'}]),
    ("latin.csv", b"x\n\xe4\n", {"csv": {"encoding": "iso-8859-1"}}, [{"x": "ä"}]),
    ("wide.csv", "x\nä€\n".encode("utf-16"), {"csv": {"encoding": "utf-16"}}, [{"x": "ä€"}]),
    ("headless.csv", b"1,2\n", {"csv": {"columns": ["x", "y"]}}, [{"x": "1", "y": "2"}]),
    ("data.txt", b"x\n1\n", {"format": "csv"}, [{"x": "1"}]),
    ("a.csv.gz", gzip.compress(b"x\n1\n"), {}, [{"x": "1"}]),
    ("members.csv.gz", gzip.compress(b"x\n1") + gzip.compress(b"2\n"), {}, [{"x": "12"}]),
    ("hidden.csv", gzip.compress(b"x\n1\n"), {}, [{"x": "1"}]),
    ("forced.csv", gzip.compress(b"x\n1\n"), {"compression": "gzip"}, [{"x": "1"}]),
    ("a.json", '[{"x": "ä"}]'.encode(), {}, [{"x": "ä"}]),
    ("pretty.json", b'\xef\xbb\xbf\r\n[\n  {\n "x": [{"}": "]"}, {}],\r\n\t"y": {}\n}\n ,\n{"x": {}} \n]\n', {},
     [{"x": [{"}": "]"}, {}], "y": {}}, {"x": {}}]),
    ("empty.json", b" [ ] ", {}, []),
    ("below.json", b'{"n": 1, "s": "]", "l": [[{}]], "e": {}, "data": {"items": [{"x": 1}], "z": null}, "data": 1}',
     {"records": "data.items"}, [{"x": 1}]),
    ("a.jsonl", b'\xef\xbb\xbf{"x": 1}\n\n{"y":\t[null]}\r\n', {}, [{"x": 1}, {"y": [None]}]),
    ("a.ndjson", b'{"x": 1}', {}, [{"x": 1}]),
    ("nothing.jsonl", b"", {}, []),
    ("backslash.json", rb'[{"x": "\\u0000"}]', {}, [{"x": "\\u0000"}]),
]  # fmt: skip
BAD: list[tuple[str, bytes, dict[str, Any], str]] = [
    ("empty.csv", b"", {}, "line 1: a header"),
    ("unnamed.csv", b"x,\n", {}, "line 1: a header"),
    ("twice.csv", b"x,x\n", {}, "line 1: a column's name occurs twice"),
    ("ragged.csv", b"x,y\n1,2\n\n3\n", {}, "line 4: has 1 values, the header 2"),
    ("latin.csv", b"x\n\n\xe4\n", {}, "line 3: is not utf-8"),
    ("cut.csv", b"x\n\xc3", {}, "line 2: is not utf-8"),
    ("open.csv", b'x\n"a\n', {}, "line 2: unexpected end"),
    ("stray.csv", b'x\n"a"b\n', {}, "line 2: ',' expected"),
    ("nul.csv", b"x\nb\na\0b\n", {}, "row 2 .up to line 3.: holds the character NUL"),
    ("lone.csv", "x\nb\n".encode("utf-16") + b"\x00\xd8", {"csv": {"encoding": "utf-16"}}, "line 3: is not utf-16"),
    ("field.csv", b'x\n"' + b"1\n" * 300 + b'"', {}, "field larger than field limit"),
    ("fields.csv", b'x\n' + b'"\n",' * 100_000, {}, "a record has more than 300 characters"),
    ("line.csv", b"x\n" + b"1" * 200_000, {}, "line 2: is longer than the 300 bytes"),
    ("object.json", b'{"x": 1}', {}, "line 1: must be an array"),
    ("scalar.json", b"[{},\n1]", {}, "line 2, item 2: is not an object"),
    ("nested.json", b"[[{}]]", {}, "item 1: is not an object"),
    ("broken.json", b"[{", {}, "line 1, item 1: the document is cut off"),
    ("colon.json", b'[{"x" 1}]', {}, "line 1, item 1: "),
    ("text.json", b'[{"x": "\\', {}, "item 1: the document is cut off"),
    ("comma.json", b'[{"x": 1}\n{"x": 2}]', {}, "line 2, item 1: a comma or the end of the array is missing"),
    ("end.json", b'[{"x": 1}', {}, "line 1, item 1: the document is cut off"),
    ("more.json", b"[]\n[]", {}, "line 2: more follows"),
    ("none.json", b"", {}, "line 1: the document is cut off"),
    ("long.json", b'[{"x": "' + b"1" * 500_000 + b'"}]', {}, "a value has more than the 300 bytes"),
    ("nowhere.json", b'{"data": {}}', {"records": "data.items"}, "the object has no 'items'"),
    ("nowhere2.json", b'{"data": [1]}', {"records": "data.items"}, "must be an object"),
    ("key.json", b'{"a": [], 1: 2}', {"records": "a"}, "a key is missing"),
    ("key2.json", b'{"a" []}', {"records": "a"}, "a colon is missing"),
    ("key3.json", b'{"a": [] "b": 1}', {"records": "a"}, "a comma or the end of the object is missing"),
    ("value.json", b'{"b": nonsense, "a": []}', {"records": "a"}, "line 1: "),
    ("value2.json", b'{"b": 1', {"records": "a"}, "the document is cut off"),
    ("nan.json", b'[{"x": NaN}]', {}, "item 1"),
    ("infinite.json", b'[{"x": 1e999}]', {}, "item 1"),
    ("surrogate.json", rb'[{"x": "\ud800"}]', {}, "item 1"),
    ("nul.json", rb'[{"x": "\u0000"}]', {}, "item 1: holds the character NUL"),
    ("deep.json", b'[{"x":' + b"[" * 200_000, {}, "a value has more"),
    ("broken.jsonl", b'{"x": 1}\n\n{"x"\n', {}, "line 3: "),
    ("scalar.jsonl", b'{"x": 1}\n5\n', {}, "line 2: is not an object"),
    ("nul.jsonl", b'{"x": 1}\n' + rb'{"x": "\\\u0000"}', {}, "line 2: holds the character NUL"),
    ("latin.jsonl", b'{"x": "\xe4"}', {}, "line 1: "),
    ("long.jsonl", b'{"x": "' + b"1" * 200_000, {}, "line 1: is longer than the 300 bytes"),
    ("unknown.xml", b"<x/>", {}, "ending .xml is none of"),
    ("unknown", b"<x/>", {}, r"ending \(none\) is none of"),
    ("big.csv", b"x\n" + b"1\n" * 400_000, {}, "more than the 600000 bytes"),
    ("bomb.csv.gz", gzip.compress(b"x\n" + b"1\n" * 10_000_000), {}, "more than the 600000 bytes"),
    ("cut.csv.gz", gzip.compress(b"x\n1\n")[:-3], {}, "the end of the gzip is missing"),
    ("damaged.csv.gz", gzip.compress(b"x\n1\n")[:-3] + b"abc", {}, "is no gzip, or damaged"),
    ("plain.csv", b"x\n", {"compression": "gzip"}, "is no gzip"),
    ("packed.csv", gzip.compress(b"x\n"), {"compression": "none"}, "line 1: is not utf-8"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "content", "options", "expected"), GOOD, ids=[case[0] for case in GOOD])
async def test_reads(tmp_path: Path, name: str, content: bytes, options: dict[str, Any], expected: Rows) -> None:
    (tmp_path / name).write_bytes(content)
    assert await rows(collect(Config(path=str(tmp_path / name), **options), context(tmp_path))) == expected


@pytest.mark.parametrize(("name", "content", "options", "message"), BAD, ids=[case[0] for case in BAD])
async def test_refuses_with_the_place(tmp_path: Path, name: str, content: bytes, options: dict[str, Any], message: str) -> None:
    (tmp_path / name).write_bytes(content)
    limits = context(tmp_path, max_record_bytes=300, max_file_bytes=600_000)
    error = await refusal(lambda: collect(Config(path=str(tmp_path / name), **options), limits))
    assert not error.retryable
    assert error.reason.startswith(f"{tmp_path / name}: ")
    with pytest.raises(SourceError, match=message):
        raise error


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"path": "a.csv"}, "path"),
        ({"path": "/data/../etc/passwd"}, "path"),
        ({"path": "/data//a.csv"}, "path"),
        ({"path": "/data/a\0.csv"}, "path"),
        ({"path": "/data/a.csv", "format": "xml"}, "format"),
        ({"path": "/data/a.csv", "csv": {"delimiter": ",,"}}, "delimiter"),
        ({"path": "/data/a.csv", "csv": {"delimiter": "\n"}}, "delimiter"),
        ({"path": "/data/a.csv", "csv": {"delimiter": '"'}}, "must differ"),
        ({"path": "/data/a.csv", "csv": {"quote": " ", "delimiter": " "}}, "csv"),
        ({"path": "/data/a.csv", "csv": {"columns": ["a", "a"]}}, "occurs twice"),
        ({"path": "/data/a.csv", "csv": {"columns": []}}, "columns"),
        ({"path": "/data/a.csv", "csv": {"encoding": "rot13"}}, "encoding"),
        ({"path": "/data/a.csv", "records": "x"}, "`records` does not belong to the format csv"),
        ({"path": "/data/a.json", "csv": {}}, "`csv` does not belong to the format json"),
        ({"path": "/data/a.json", "records": "a..b"}, "records"),
        ({"path": "/data/a.csv", "pth": "x"}, "pth"),
    ],
)
def test_a_wrong_config_is_refused_and_the_field_named(config: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError, match=field):
        Config(**config)


def name_of(number: int) -> str:
    return f"line {number}"


def test_what_json_cannot_hold_is_named() -> None:
    with pytest.raises(SourceError, match=r"line 1: .*surrogates"):
        texts([{"x": "a"}, {"x": "\ud800"}], name_of)
    with pytest.raises(SourceError, match=r"line 1: .*64-bit"):
        texts([{"x": "a"}, {"x": 2**70}], name_of)


async def test_no_digit_of_a_number_is_lost(tmp_path: Path) -> None:
    number = "1234567890123456789012345678901234567890.10"
    (tmp_path / "a.json").write_text(f'[{{"x": {number}}}]')
    (tmp_path / "a.jsonl").write_text(f'{{"x": {number}}}')
    for name in ("a.json", "a.jsonl"):
        batches = await all_batches(collect(Config(path=str(tmp_path / name)), context(tmp_path)))
        assert batches == [Batch.of([f'{{"x": {number}}}'])]


async def test_many_rows_come_in_batches_and_the_progress_is_told(tmp_path: Path) -> None:
    told = list[tuple[float, float | None]]()
    (tmp_path / "a.csv").write_text("x\n" + "".join(f"{n}\n" for n in range(100_000)))
    (tmp_path / "a.json").write_text(json.dumps([{"x": str(n)} for n in range(100_000)]))
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps({"x": str(n)}) for n in range(100_000)))
    for name in ("a.csv", "a.json", "a.jsonl"):
        given = context(tmp_path, progress=lambda done, total: told.append((done, total)))
        batches = await all_batches(collect(Config(path=str(tmp_path / name)), given))
        assert [orjson.loads(text)["x"] for batch in batches for text in batch] == [str(n) for n in range(100_000)]
        assert max(map(len, batches)) == BATCH_ROWS
        size = (tmp_path / name).stat().st_size
        assert told[-1] == (size, size)
        assert len(told) > 3


async def test_wide_rows_come_in_small_batches(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x\n" + f"{'1' * 90_000}\n" * 50)
    (tmp_path / "a.json").write_text(json.dumps([{"x": "1" * 90_000}] * 50))
    for name in ("a.csv", "a.json"):
        batches = await all_batches(collect(Config(path=str(tmp_path / name)), context(tmp_path)))
        assert max(map(len, batches)) < 8


async def test_a_cancelled_job_stops_reading(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x\n" + "1\n" * 500_000)
    seen = list[Batch]()
    batches = collect(Config(path=str(tmp_path / "a.csv")), context(tmp_path, cancelled=lambda: len(seen) > 3))
    with pytest.raises(Cancelled):
        seen.extend([seen.append(batch) or batch async for batch in batches])
    assert len(seen) == 4


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_a_consumer_that_leaves_lets_the_file_be_closed(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x\n" + "1\n" * 500_000)
    before = open_files()
    batches = collect(Config(path=str(tmp_path / "a.csv")), context(tmp_path))
    await anext(batches)
    assert open_files() == before + 1
    await batches.aclose()
    assert open_files() == before


@pytest.mark.parametrize("name", ["a.csv", "a.json", "a.jsonl", "a.csv.gz"])
async def test_memory_does_not_grow_with_the_file(tmp_path: Path, name: str) -> None:
    size = 20_000_000
    line = {"csv": b"1,2,3,4,5,6,7,8\n", "json": b'{"x":"1","y":"23456"},\n', "jsonl": b'{"x":"1","y":"23456"}\n'}
    body = line[name.removesuffix(".gz").split(".")[1]] * (size // 22)
    content = {"a.csv": body, "a.json": b"[" + body + b"{}]", "a.jsonl": body, "a.csv.gz": b""}[name]
    (tmp_path / name).write_bytes(content or gzip.compress(body, 1))
    del body, content
    tracemalloc.start()
    options = {"csv": {"columns": list("abcdefgh")}} if "csv" in name else {}
    count = 0
    async for batch in collect(Config(path=str(tmp_path / name), **options), context(tmp_path)):
        count += len(batch)
    assert count > 500_000
    assert tracemalloc.get_traced_memory()[1] < 8_000_000
    tracemalloc.stop()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)


def in_pieces(content: bytes, size: int) -> list[bytes]:
    return [content[at : at + size] for at in range(0, len(content), size)]


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.dictionaries(st.text(max_size=5), JSON, max_size=4)),
    st.integers(1, 40),
    st.sampled_from([None, 1]),
    st.booleans(),
)
def test_any_array_in_any_pieces_gives_what_a_parser_gives(documents: Rows, size: int, indent: int | None, ascii: bool) -> None:
    try:
        content = json.dumps({"a": {"b": documents}}, indent=indent, ensure_ascii=ascii).encode()
        expected = json.loads(content)["a"]["b"]
        orjson.loads(content)
    except ValueError:  # a lone surrogate
        return
    found = list(elements(in_pieces(content, size), ("a", "b"), 100_000))
    assert [json.loads(text) for text in found] == expected
    assert not any(byte in text for text in found for byte in b"\n\r\t")


@settings(max_examples=400, deadline=None)
@given(st.binary(max_size=60) | st.text('[]{}",:\\ 1a\n', max_size=40).map(str.encode), st.integers(1, 9))
def test_what_is_no_array_of_objects_is_refused(content: bytes, size: int) -> None:
    try:
        found = list(elements(in_pieces(content, size), (), 1000))
    except SourceError as error:
        refused = error.reason
    else:
        refused = "line "
        assert orjson.loads(content.removeprefix(b"\xef\xbb\xbf")) == [orjson.loads(text) for text in found]
    assert refused.startswith("line ")


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=2, max_size=2)), st.integers(1, 30))
def test_any_table_in_any_pieces_comes_back(values: list[list[str]], size: int) -> None:
    written = io.StringIO(newline="")
    csv.writer(written).writerows(values)
    pieces = list(text_pieces(in_pieces(written.getvalue().encode(), size), "utf-8", 10_000))
    assert list(csv.reader([line for piece in pieces for line in lines_of(piece)], strict=True)) == values


PLAIN = st.text("ab \u2028é😀", max_size=3)
CAREFUL = st.text("a,;\t\"'\\\r\n\0\x1f", max_size=3)


@settings(max_examples=600, deadline=None)
@given(
    st.lists(st.lists(PLAIN | PLAIN | CAREFUL, min_size=1, max_size=3).map(",".join) | st.just("x,y"), min_size=1, max_size=30),
    st.sampled_from(["\n", "\n", "\r\n", "\r"]), st.sampled_from(["", "\n"]), st.integers(5, 60), st.integers(1, 3),
    st.sampled_from([CsvOptions(), CsvOptions(delimiter="\t"), CsvOptions(delimiter=";", quote="'", escape="\\")]),
)  # fmt: skip
def test_plain_pieces_give_what_pythons_csv_gives(
    lines: list[str], end: str, last: str, size: int, width: int, options: CsvOptions
) -> None:
    """Also the same refusal, of the same line; how long the batch was is no matter."""
    content = (end.join(lines) + last).replace(",", options.delimiter).encode()
    named = options.model_copy(update={"columns": ["x", "é", '"'][:width]})

    def outcome() -> list[str] | str:
        try:
            return [text for batch in csv_batches(in_pieces(content, size), named, 1000) for text in batch]
        except SourceError as error:
            return error.reason.partition(" (up to")[0]

    found = outcome()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plain, "cells", lambda *_: None)
        assert found == outcome()


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize(
    ("options", "quoted"),
    [(CsvOptions(), '"a"'), (CsvOptions(delimiter="\t"), '"a"'), (CsvOptions(delimiter=";", quote="'"), "'a'")],
)
def test_plain_pieces_are_known_and_others_as_well(options: CsvOptions, quoted: str, end: str) -> None:
    def cells(*rows: str) -> list[str] | None:
        return plain.cells("".join(row.replace(",", options.delimiter) + end for row in rows), 2, options.dialect())

    assert cells("1,é", ",") == ["1", "é", "\n", "", "", "\n"]
    for wrong in ("1", "1,2,3", "", f"{quoted},1", "1,\x01", "1,\\", "1,\r2"):
        assert cells("1,2", wrong) is None, wrong


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200), st.sampled_from(["a.csv", "a.json", "a.jsonl"]), st.booleans())
def test_any_bytes_give_rows_or_a_refusal(content: bytes, name: str, packed: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        path.write_bytes(gzip.compress(content) if packed else content)
        try:
            batches = list(read(Config(path=str(path)), context(Path(folder), max_record_bytes=100)))
        except SourceError as error:
            refused = error.reason
        else:
            refused = str(path)
            assert all(type(orjson.loads(text)) is dict for batch in batches for text in batch)
        assert refused.startswith(str(path))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.binary(max_size=300), min_size=1), st.integers(1, 50))
def test_any_gzip_in_any_pieces_is_undone(members: list[bytes], size: int) -> None:
    packed = b"".join(map(gzip.compress, members))
    assert b"".join(unpacked(in_pieces(packed, size))) == b"".join(members)


def test_a_well_packed_file_is_unpacked_bit_by_bit() -> None:
    pieces = list(unpacked([gzip.compress(b"\0" * 20_000_000)]))
    assert sum(map(len, pieces)) == 20_000_000
    assert max(map(len, pieces)) <= 2 * CHUNK


def test_many_small_members_are_gathered_before_somebody_works_on_each() -> None:
    assert list(unpacked([gzip.compress(b"1") * 5000])) == [b"1" * 5000]


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A permitted folder `in`, its neighbour `out` and ways from one to the other."""
    for folder in ("in", "out", "in-too"):
        (tmp_path / folder).mkdir()
    (tmp_path / "out" / "secret.csv").write_text("x\n1\n")
    (tmp_path / "in-too" / "secret.csv").write_text("x\n1\n")
    (tmp_path / "in" / "link.csv").symlink_to("../out/secret.csv")
    (tmp_path / "in" / "folder").symlink_to("../out")
    (tmp_path / "in" / "proc.csv").symlink_to("/proc/self/environ")
    (tmp_path / "in" / "all").symlink_to("/proc/self/root")
    (tmp_path / "in" / "loop.csv").symlink_to("loop.csv")
    (tmp_path / "in" / "null.csv").symlink_to("/dev/null")
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
        ("in/proc.csv", "not below a permitted folder"),
        ("in/null.csv", "not below a permitted folder"),
        ("in/all/etc/hostname", "not below a permitted folder"),
        ("out/secret.csv", "not below a permitted folder"),
        ("in-too/secret.csv", "not below a permitted folder"),
        ("in/none.csv", "cannot be opened: No such file"),
        ("in/loop.csv", "cannot be opened: Too many levels"),
        ("in/a-folder.csv", "not a regular file"),
        ("in/pipe.csv", "not a regular file"),
    ],
)
async def test_there_is_no_way_out_of_the_folder(house: Path, path: str, message: str) -> None:
    error = await refusal(lambda: collect(Config(path=f"{house}/{path}", format="csv"), context(house / "in")))
    assert message in error.reason


async def test_a_file_outside_is_not_told_from_none_outside(house: Path) -> None:
    there, none = [
        await refusal(lambda name=name: collect(Config(path=f"{house}/out/{name}.csv"), context(house / "in")))
        for name in ("secret", "nobody")
    ]
    assert there.reason.replace("secret", "nobody") == none.reason


async def test_a_link_within_the_folder_is_followed(house: Path) -> None:
    assert await rows(collect(Config(path=str(house / "in" / "inner-link.csv")), context(house / "in"))) == [{"x": "1"}]


async def test_a_permitted_folder_may_itself_be_a_link(house: Path) -> None:
    folder = house / "in" / "folder"
    assert await rows(collect(Config(path=str(folder / "secret.csv")), context(folder))) == [{"x": "1"}]


@settings(max_examples=300, deadline=None)
@given(
    st.text(max_size=30)
    | st.lists(st.sampled_from(["..", ".", "in", "out", "secret.csv", "folder", "", "link.csv"])).map("/".join)
)
def test_no_path_at_all_reads_what_is_outside(path: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        (base / "in").mkdir()
        (base / "out").mkdir()
        (base / "out" / "secret.csv").write_text("secret\n1\n")
        (base / "in" / "folder").symlink_to("../out")
        (base / "in" / "link.csv").symlink_to("../out/secret.csv")
        for config in (f"{base}/in/{path}", f"{base}/{path}", path):
            try:
                found = list(read(Config(path=config, format="csv"), context(base / "in")))
            except (ValidationError, SourceError):
                continue
            raise AssertionError(f"{config} gave {found}")


async def test_a_file_that_is_exchanged_all_the_time_never_shows_what_is_outside(house: Path) -> None:
    stop = threading.Event()
    target = house / "in" / "swapped.csv"
    (house / "out" / "secret.csv").write_text("x\nsecret\n")

    def swap() -> None:
        while not stop.is_set():
            for source in (house / "out" / "secret.csv", house / "in" / "inner.csv"):
                fresh = house / "in" / "fresh"
                fresh.symlink_to(source)
                fresh.rename(target)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        refused, read = 0, 0
        for _ in range(300):
            try:
                assert await rows(collect(Config(path=str(target)), context(house / "in"))) == [{"x": "1"}]
                read += 1
            except SourceError:
                refused += 1
    finally:
        stop.set()
        thread.join()
    assert refused
    assert read


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
async def test_a_file_that_may_not_be_read_is_named(house: Path) -> None:
    (house / "in" / "inner.csv").chmod(0)
    error = await refusal(lambda: collect(Config(path=str(house / "in" / "inner.csv")), context(house / "in")))
    assert "inner.csv: cannot be opened: Permission denied" in error.reason
