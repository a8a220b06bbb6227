"""What software layers hold, also of a tar that somebody made to hurt."""

from __future__ import annotations

import io
import json
import tarfile

from hypothesis import given, settings
from hypothesis import strategies as st

from deploybundle.sources.inventory import Findings, LayerScan, debian_licences, stacked
from deploybundle.sources.tarwalk import TarWalk

STATUS = """Package: libc6
Status: install ok installed
Architecture: amd64
Version: 2.41-12
Description: GNU C Library
 more of it

Package: gone
Status: deinstall ok config-files
Version: 1
"""
FORMAT = "https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/"
DEP5 = f"Format: {FORMAT}\n\nFiles: *\nLicense: GPL-2+\n text\n\nLicense: Expat\n"
METADATA = "Metadata-Version: 2.4\nName: Jinja2\nVersion: 3.1.6\nLicense-Expression: BSD-3-Clause\n\nLicense: not this\n"


def tar(files: dict[str, str | bytes], links: dict[str, str] | None = None, form: int = tarfile.PAX_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for name, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
        for name, target in (links or {}).items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, target
            archive.addfile(member)
    return buffer.getvalue()


def scanned(data: bytes, step: int = 1 << 20) -> Findings:
    scan = LayerScan()
    for at in range(0, len(data), step):
        scan.feed(data[at : at + step])
    return scan.end()


def found(*layers: bytes) -> dict[str, tuple[str, list[str]]]:
    inventory = stacked([scanned(layer) for layer in layers])
    return {f"{one.kind}:{one.name}": (one.version, one.licences) for one in inventory.software}


BASE = tar({
    "var/lib/dpkg/status": STATUS, "usr/share/doc/libc6/copyright": DEP5, "etc/os-release": 'ID=debian\nVERSION_ID="13"\n',
})  # fmt: skip


def test_each_kind_is_found_with_its_licences() -> None:
    app = tar({
        "./usr/lib/python3/dist-packages/jinja2-3.1.6.dist-info/METADATA": METADATA,
        "app/node_modules/@scope/left-pad/package.json": '{"name": "@scope/left-pad", "version": "1.3.0", "license": "WTFPL"}',
        "app/package.json": '{"name": "not-installed", "version": "1"}',
        "app/node_modules/old/package.json": '{"name": "old", "version": "0.1", "licenses": [{"type": "MIT"}, {"type": 3}]}',
    })  # fmt: skip
    assert found(BASE, app) == {
        "deb:libc6": ("2.41-12", ["Expat", "GPL-2+"]),
        "pypi:Jinja2": ("3.1.6", ["BSD-3-Clause"]),
        "npm:@scope/left-pad": ("1.3.0", ["WTFPL"]),
        "npm:old": ("0.1", ["MIT"]),
    }
    assert stacked([scanned(BASE)]).system == {"ID": "debian", "VERSION_ID": "13"}


def test_distroless_has_a_file_a_package() -> None:
    layer = tar(
        {"var/lib/dpkg/status.d/tzdata": "Package: tzdata\nVersion: 2026a\n", "var/lib/dpkg/status.d/tzdata.md5sums": "x"}
    )
    assert found(layer) == {"deb:tzdata": ("2026a", [])}


def test_a_folder_of_docs_that_is_a_link_shares_the_licence() -> None:
    layer = tar({"var/lib/dpkg/status": STATUS, "usr/share/doc/base/copyright": DEP5}, {"usr/share/doc/libc6": "base"})
    assert found(layer)["deb:libc6"][1] == ["Expat", "GPL-2+"]


def test_what_a_layer_hides_is_not_there() -> None:
    wheel = {"lib/site-packages/jinja2-3.1.6.dist-info/METADATA": METADATA}
    assert "pypi:Jinja2" in found(tar(wheel))
    for above in (
        tar({"lib/site-packages/.wh.jinja2-3.1.6.dist-info": ""}), tar({"lib/.wh.site-packages": ""}),
        tar({"lib/site-packages/.wh..wh..opq": ""}), tar({}, {"lib/site-packages": "/opt"}),
    ):  # fmt: skip
        assert "pypi:Jinja2" not in found(tar(wheel), above)
    newer = {path: METADATA.replace("3.1.6", "3.1.7") for path in wheel}
    assert found(tar(wheel), tar({"lib/site-packages/.wh..wh..opq": "", **newer})) == {
        "pypi:Jinja2": ("3.1.7", ["BSD-3-Clause"])
    }


def test_a_newer_status_takes_the_place_of_the_older_one() -> None:
    assert found(BASE, tar({"var/lib/dpkg/status": STATUS.replace("2.41-12", "2.41-13")}))["deb:libc6"][0] == "2.41-13"


def test_what_cannot_be_read_is_named_and_the_rest_is_found() -> None:
    deep = '{"a":' * 100_000 + "1" + "}" * 100_000
    layer = tar({
        "node_modules/deep/package.json": deep, "node_modules/list/package.json": "[1]", "node_modules/none/package.json": "{",
        "node_modules/big/package.json": b"{" * (3 << 20), "node_modules/ok/package.json": '{"name": "ok", "version": "1"}',
    })  # fmt: skip
    assert found(layer) == {"npm:ok": ("1", [])}
    assert len(scanned(layer).unread) == 4


def test_names_of_any_length_and_any_cut_of_the_stream_give_the_same() -> None:
    path = f"{'a' * 120}/{'b' * 200}/site-packages/x.dist-info/METADATA"
    for form in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        layer = tar({"first": "x" * 700, path: METADATA}, form=form)
        whole = scanned(layer)
        assert [one[0]["name"] for one in whole.software.values()] == ["Jinja2"]
        assert all(scanned(layer, step) == whole for step in (1, 7, 511, 512, 513, 10_240))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=4096), st.integers(0, 6000), st.integers(1, 64))
def test_no_bytes_break_the_walk(junk: bytes, at: int, step: int) -> None:
    damaged = BASE[:at] + junk + BASE[at + len(junk) :]
    json.dumps(stacked([scanned(damaged, step * 97)]).system)


@settings(max_examples=100, deadline=None)
@given(
    st.dictionaries(st.from_regex(r"[a-z]{1,9}(/[a-z]{1,150}){0,3}", fullmatch=True), st.binary(max_size=1500), max_size=8),
    st.integers(1, 3000),
)
def test_the_walk_sees_what_tarfile_sees(files: dict[str, bytes], step: int) -> None:
    seen: dict[str, bytes] = {}
    walk = TarWalk(lambda path, kind, size: True, lambda path, kind, content: seen.update({path: content}))
    data = tar(dict(files))
    for at in range(0, len(data), step):
        walk.feed(data[at : at + step])
    assert (seen, walk.broken) == (files, False)


def test_only_machine_readable_copyright_files_are_believed() -> None:
    assert debian_licences("This is free software.\nLicense: whatever you like\n") == []
