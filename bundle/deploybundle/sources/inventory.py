"""What software a layer holds, and a stack of them: Debian's packages, Python's distributions, npm's packages, licences.

Read from the files that package managers leave: dpkg's status (also distroless' status.d), dist-info/METADATA and
egg-info/PKG-INFO, package.json below node_modules, Debian's copyright files. A layer's findings are kept by its diff_id.
An image is not trusted: sizes, counts and depths are bounded, and what cannot be read is named and left out.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from deploybundle.sources.tarwalk import Kind, TarWalk

VERSION = 1
"""Of what is kept: another one is found anew."""

STATUS_LIMIT, FILE_LIMIT, COUNT_LIMIT, WORD = 32 << 20, 2 << 20, 100_000, 512
_STATUS = "var/lib/dpkg/status"
_RELEASES = ("usr/lib/os-release", "etc/os-release")
_PYTHON = re.compile(r"[^/]+\.(?:dist-info/METADATA|egg-info/PKG-INFO|egg-info)")
_NPM = re.compile(r"(?:^|/)node_modules/(?:@[^/]+/)?[^/]+/package\.json$")
_DOC = re.compile(r"usr/share/doc/[^/]+")
_COPYRIGHT = re.compile(r"usr/share/doc/([^/]+)/copyright")
_FIELD = re.compile(r"^([A-Za-z0-9-]+):[ \t]*(.*)$", re.MULTILINE)


@dataclass
class Software:
    """One thing that a layer brings. `kind`: deb, pypi or npm."""

    kind: str
    name: str
    version: str
    arch: str = ""
    licences: list[str] = field(default_factory=list)


@dataclass
class Findings:
    """What one layer holds, by path; `gone` it hides of those below it, `hidden` folders whole but for its own."""

    software: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    licences: dict[str, list[str]] = field(default_factory=dict)
    docs: dict[str, str] = field(default_factory=dict)
    system: dict[str, dict[str, str]] = field(default_factory=dict)
    gone: list[str] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)


class LayerScan:
    """Feed it a layer's raw tar as it passes; then `findings`."""

    def __init__(self) -> None:
        self.findings = Findings()
        self._walk = TarWalk(self._wants, self._takes)
        self._count = 0

    def feed(self, chunk: bytes) -> None:
        """The next bytes of the layer."""
        self._walk.feed(chunk)

    def end(self) -> Findings:
        """What was found. A tar that could not be followed is named."""
        if self._walk.broken:
            self.findings.unread.append("the rest of a layer whose tar cannot be followed")
        return self.findings

    def _wants(self, path: str, kind: Kind, size: int) -> bool:
        name = _clean(path)
        base = name.rpartition("/")[2]
        if base.startswith(".wh."):
            return self._whiteout(name, base)
        if kind == "link":
            return self._few() and bool(_DOC.fullmatch(name) or base in ("site-packages", "node_modules", "dpkg"))
        if kind != "file" or not _interesting(name, base):
            return False
        if size > (STATUS_LIMIT if name == _STATUS else FILE_LIMIT):
            self._unread(name, f"{size} bytes")
            return False
        return self._few()

    def _few(self) -> bool:
        self._count += 1
        return self._count <= COUNT_LIMIT

    def _whiteout(self, name: str, base: str) -> bool:
        """OCI image specification, layer.md: `.wh.NAME` hides NAME, `.wh..wh..opq` all below its folder."""
        folder = name.rpartition("/")[0]
        if self._few():
            if base == ".wh..wh..opq":
                self.findings.hidden.append(folder)
            else:
                self.findings.gone.append(posixpath.join(folder, base.removeprefix(".wh.")))
        return False

    def _unread(self, name: str, why: str) -> None:
        if len(self.findings.unread) < 100:
            self.findings.unread.append(f"{name[:WORD]}: {why}")

    def _takes(self, path: str, kind: Kind, content: bytes) -> None:
        name = _clean(path)
        if kind == "link":
            self.findings.gone.append(name)
            if _DOC.fullmatch(name):
                self.findings.docs[name] = content.decode("utf-8", "replace")[:WORD]
            return
        try:
            self._read(name, content.decode("utf-8", "replace"))
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            self._unread(name, type(error).__name__)

    def _read(self, name: str, text: str) -> None:
        if name in _RELEASES:
            pairs = (line.split("=", 1) for line in text.splitlines() if "=" in line)
            self.findings.system[name] = {key: value.strip("\"'")[:WORD] for key, value in pairs if key in ("ID", "VERSION_ID")}
        elif found := _COPYRIGHT.fullmatch(name):
            self.findings.licences[found[1]] = debian_licences(text)
        else:
            read = _npm if name.endswith("/package.json") else debian_packages if "/dpkg/" in name else python_metadata
            self.findings.software[name] = [asdict(one) for one in read(text)][:COUNT_LIMIT]


def _clean(path: str) -> str:
    return posixpath.normpath("/" + path.replace("\0", ""))[1:]


def _interesting(name: str, base: str) -> bool:
    if base in ("package.json",):
        return bool(_NPM.search(name))
    if base in ("METADATA", "PKG-INFO") or base.endswith(".egg-info"):
        return bool(_PYTHON.fullmatch("/".join(name.split("/")[-2:])) or _PYTHON.fullmatch(base))
    if name.startswith("var/lib/dpkg/status.d/"):
        return not base.endswith(".md5sums")
    return name == _STATUS or name in _RELEASES or bool(_COPYRIGHT.fullmatch(name))


# readers --------------------------------------------------------------------------------------------------------------


def debian_packages(text: str) -> Iterator[Software]:
    """dpkg's status: a stanza a package. Distroless' files have one and no Status."""
    for stanza in re.split(r"\n\s*\n", text):
        said = dict(_FIELD.findall(stanza))
        if said.get("Package") and said.get("Version") and said.get("Status", " installed").endswith(" installed"):
            yield Software("deb", _word(said["Package"]), _word(said["Version"]), _word(said.get("Architecture", "")))


def python_metadata(text: str) -> Iterator[Software]:
    """Core metadata (packaging.python.org/specifications/core-metadata): the head up to the first empty line."""
    head = re.split(r"\r?\n\r?\n", text, maxsplit=1)[0]
    fields = _FIELD.findall(head)
    said = dict(reversed(fields))
    if not said.get("Name", "").strip() or not said.get("Version", "").strip():
        return
    classified = [
        value.rpartition(" :: ")[2].strip() for key, value in fields if key == "Classifier" and value[:7] == "License"
    ]
    plain = [said.get("License", "").strip()] if 0 < len(said.get("License", "").strip()) < 80 else []
    expression = [said["License-Expression"].strip()] if said.get("License-Expression") else []
    yield Software("pypi", _word(said["Name"]), _word(said["Version"]), licences=_words(expression or plain or classified))


def _npm(text: str) -> Iterator[Software]:
    said = json.loads(text)
    if isinstance(said.get("name"), str) and isinstance(said.get("version"), str) and said["name"] and said["version"]:
        listed = said.get("license") or said.get("licenses") or []
        found = [
            one.get("type") if isinstance(one, dict) else one for one in (listed if isinstance(listed, list) else [listed])
        ]
        licences = _words(one for one in found if isinstance(one, str))
        yield Software("npm", _word(said["name"]), _word(said["version"]), licences=licences)


def debian_licences(text: str) -> list[str]:
    """The short names of a machine-readable copyright file (DEP-5); nothing of another."""
    if "copyright-format" not in text[:2000] and not text.lstrip().startswith("Format:"):
        return []
    return _words(value for key, value in _FIELD.findall(text) if key == "License")


def _words(values: Iterable[str]) -> list[str]:
    return sorted({word for value in values if (word := _word(value))})[:200]


def _word(text: str) -> str:
    """A word that may stand in a document: printable, and not long."""
    return "".join(letter for letter in text.strip()[:WORD] if letter.isprintable())


# a stack of layers ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Inventory:
    """What an image holds. `system`: ID and VERSION_ID of its os-release; `unread`: what could not be read."""

    software: tuple[Software, ...]
    system: dict[str, str]
    unread: tuple[str, ...]


def stacked(layers: Iterable[Findings]) -> Inventory:
    """The layers from the bottom up, as the image shows them: what a layer hides of those below is not there."""
    software: dict[str, list[dict[str, Any]]] = {}
    licences: dict[str, list[str]] = {}
    docs: dict[str, str] = {}
    system: dict[str, dict[str, str]] = {}
    unread: list[str] = []
    for layer in layers:
        for table in (software, docs, system):
            _hide(table, layer)
        software.update(layer.software)
        licences.update(layer.licences)
        docs.update(layer.docs)
        system.update(layer.system)
        unread += layer.unread
    found: dict[tuple[str, str, str], Software] = {}
    for one in (Software(**each) for path in sorted(software) for each in software[path]):
        if one.kind == "deb":
            one.licences = _licences_of(one.name, licences, docs)
        found.setdefault((one.kind, one.name, one.version), one)
    about = {**system.get(_RELEASES[0], {}), **system.get(_RELEASES[1], {})}
    return Inventory(tuple(found[key] for key in sorted(found)), about, tuple(unread))


def _hide(table: dict[str, Any], layer: Findings) -> None:
    gone = set(layer.gone)
    below = (*(f"{path}/" for path in gone), *(f"{path}/" if path else "" for path in layer.hidden))
    if not below:
        return
    for path in [path for path in table if path in gone or path.startswith(below)]:
        del table[path]


def _licences_of(name: str, licences: dict[str, list[str]], docs: dict[str, str]) -> list[str]:
    """A package's own copyright file, or the one that its folder is a link to."""
    target = docs.get(f"usr/share/doc/{name}", "").rstrip("/").rpartition("/")[2]
    return licences.get(name) or licences.get(target) or []
