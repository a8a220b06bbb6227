"""Debian's packages for a bare host, resolved in an empty apt root against the target's own release.

The machine's own mirror is asked, with its proxies and certificates; what it says must be signed by Debian's archive
keys. A resolved closure is kept, so that an unchanged build asks nobody; `fresh` asks again. Compose always comes from
trixie: bookworm has 1.29, which cannot do what we need, and trixie's program asks for nothing but a libc that bookworm has.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

from deploybundle.sources.packages import Closure, Members, PackagesNotFetched, Pinned
from deploybundle.sources.wheels import sha256_of
from deploybundle.trust import Signer
from deploybundle.trust.openpgp import armored_key, clear_signed
from deploybundle.whole import write_whole

CODENAMES = {"debian-12": "bookworm", "debian-13": "trixie"}
NEEDED: dict[str, dict[str, tuple[str, ...]]] = {
    "debian-12": {"bookworm": ("docker.io", "iptables", "nftables"), "trixie": ("docker-compose",)},
    "debian-13": {"trixie": ("docker.io", "docker-cli", "docker-compose", "iptables", "nftables")},
}
"""For each target, what is asked of which release."""

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
ARCHITECTURE = "amd64"
_INDEX = ["apt-get", "indextargets", "--format", "$(REPO_URI) $(CODENAME) $(COMPONENT) $(LABEL)", "Created-By: Packages"]
_LEFT_OUT = ("Filename", "Description-md5", "Tag")
_FIELD = re.compile(r"^([A-Za-z0-9-]+):[ \t]*(.*(?:\n[ \t].*)*)", re.MULTILINE)


def debian(target: str, cache: Path, *, fresh: bool = False) -> Closure:
    """The closure of Docker Engine, Compose and what isolation needs, for `debian-12` or `debian-13`.

    Raises PackagesNotFetched, with apt's own words.
    """
    folder = cache / "packages" / target
    found = None if fresh else _kept(folder, target)
    if found is None:
        _resolve(folder, target)
        found = _kept(folder, target)
    if found is None:
        raise PackagesNotFetched("apt brought other files than its index names", place=str(folder), hint="run again")
    return found


def repository(closure: Closure, signer: Signer, cache: Path) -> Members:
    """The closure as a flat apt repository, signed by the vendor's key: its files by name."""
    text = "\n".join(closure.stanzas).encode()
    files = {"Packages": text, "InRelease": clear_signed(_release(closure, text), signer), "key.asc": armored_key(signer)}
    folder = cache / "packages" / closure.target / "signed"
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return {**{name: folder / name for name in files}, **{_file_name(file.path): file for file in closure.files}}


def _release(closure: Closure, packages: bytes) -> str:
    """A Release file (DebianRepository/Format). Its date is the newest of the releases that it was taken from."""
    digest = hashlib.sha256(packages).hexdigest()
    fields = {
        "Origin": "deployctl", "Label": "deployctl", "Suite": closure.target, "Codename": closure.target,
        "Date": closure.as_of, "Architectures": ARCHITECTURE,
        "Description": f"Docker Engine, Compose and what they need on {closure.target}",
        "SHA256": f"\n {digest} {len(packages)} Packages",
    }  # fmt: skip
    return "".join(f"{name}:{'' if value.startswith(chr(10)) else ' '}{value}\n" for name, value in fields.items())


def _file_name(path: Path) -> str:
    """apt writes an epoch's colon as %3a, and reads a name in an index as an address: no percent sign in ours."""
    return path.name.replace("%3a", ".")


# what is kept ---------------------------------------------------------------------------------------------------------


def _kept(folder: Path, target: str) -> Closure | None:
    try:
        kept = json.loads((folder / "closure.json").read_text())
    except (OSError, ValueError):
        return None
    files = tuple(Pinned(folder / "pool" / name, f"sha256:{digest}", size) for name, digest, size in kept["files"])
    if kept["needed"] != _asked(target) or not all(_is_there(file) for file in files):
        return None
    return Closure(target, kept["as_of"], tuple(kept["stanzas"]), files)


def _asked(target: str) -> dict[str, list[str]]:
    return {codename: list(names) for codename, names in NEEDED[target].items()}


def _is_there(file: Pinned) -> bool:
    """By its size: its bytes are compared with the digest as they go into the bundle."""
    try:
        return file.path.stat().st_size == file.size
    except OSError:
        return False


# what is resolved -----------------------------------------------------------------------------------------------------


def _resolve(folder: Path, target: str) -> None:
    (folder / "pool").mkdir(parents=True, exist_ok=True)
    stanzas: list[str] = []
    dates: list[datetime] = []
    for codename, names in NEEDED[target].items():
        apt = _Apt.make(folder / "apt" / codename, codename)
        wanted = apt.closure(names)
        apt.download(wanted, folder / "pool")
        stanzas += apt.stanzas(wanted)
        dates.append(apt.date())
    files = [_checked(_fields(stanza), folder / "pool") for stanza in stanzas]
    content = {
        "needed": _asked(target), "as_of": max(dates).strftime("%a, %d %b %Y %H:%M:%S UTC"),
        "stanzas": [_ours(stanza, Path(name)) for stanza, (name, _, _) in zip(stanzas, files, strict=True)], "files": files,
    }  # fmt: skip
    write_whole(folder / "closure.json", json.dumps(content).encode())
    for path in set((folder / "pool").iterdir()) - {folder / "pool" / name for name, _, _ in files}:
        path.unlink()  # of an earlier closure


@dataclass(frozen=True)
class _Apt:
    """An apt of its own: one release's index, no installed package, nothing of the machine's but how it gets there."""

    folder: Path

    @classmethod
    def make(cls, folder: Path, codename: str) -> _Apt:
        for name in ("lists/partial", "archives/partial"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / "status").touch()
        (folder / "sources.list").write_text("".join(_sources(codename)))
        (folder / "apt.conf").write_text(_CONFIGURATION.format(folder=folder, architecture=ARCHITECTURE))
        made = cls(folder)
        made.run("apt-get", "update", "-qq")
        return made

    def closure(self, names: Sequence[str]) -> list[str]:
        """`name=version` of what is needed besides a minimal Debian: what is essential or required, and apt."""
        base = [*self._required(), "apt"]
        there = set(self._to_install(base))
        return [each for each in self._to_install([*base, *names]) if each not in there]

    def stanzas(self, wanted: Sequence[str]) -> list[str]:
        """What the release says of each, in the order of their names."""
        said = self.run("apt-cache", "show", *wanted).split("\n\n")
        found = {"{Package}={Version}".format(**_fields(stanza)): stanza.strip() for stanza in said if stanza.strip()}
        return [found[each] for each in sorted(wanted)]

    def download(self, wanted: Sequence[str], pool: Path) -> None:
        """The packages that are not there yet; apt compares them with the release's digests."""
        self.run("apt-get", "download", "-qq", *wanted, cwd=pool)

    def date(self) -> datetime:
        """The newest date of the releases that were read."""
        texts = [path.read_text() for path in (self.folder / "lists").glob("*InRelease")]
        return max(parsedate_to_datetime(date) for text in texts for date in re.findall(r"^Date: (.*)$", text, re.MULTILINE))

    def _required(self) -> list[str]:
        stanzas = map(_fields, self.run("apt-cache", "dumpavail").split("\n\n"))
        wanted = (one for one in stanzas if one.get("Essential") == "yes" or one.get("Priority") == "required")
        return sorted({one["Package"] for one in wanted})

    def _to_install(self, names: Iterable[str]) -> list[str]:
        said = self.run("apt-get", "install", "--simulate", "-qq", "--no-install-recommends", *names)
        return sorted(f"{found[1]}={found[2]}" for found in re.finditer(r"^Inst (\S+) \((\S+) ", said, re.MULTILINE))

    def run(self, program: str, *arguments: str, cwd: Path | None = None) -> str:
        command = [program, "-c", str(self.folder / "apt.conf"), *arguments]
        done = subprocess.run(command, cwd=cwd, env=_environment(), capture_output=True, text=True, check=False)
        if done.returncode:
            raise _not_fetched(done.stderr or done.stdout)
        return done.stdout


_CONFIGURATION = """\
Dir::Etc::sourcelist "{folder}/sources.list";
Dir::Etc::sourceparts "-";
Dir::Etc::preferences "-";
Dir::Etc::preferencesparts "-";
Dir::State::lists "{folder}/lists";
Dir::State::status "{folder}/status";
Dir::State::extended_states "{folder}/extended_states";
Dir::Cache "{folder}";
APT::Architecture "{architecture}";
APT::Architectures {{ "{architecture}"; }};
APT::Default-Release "";
APT::Sandbox::User "";
APT::Get::Assume-Yes "true";
Acquire::Languages "none";
Debug::NoLocking "true";
"""


def _environment() -> dict[str, str]:
    return {**os.environ, "LC_ALL": "C", "APT_CONFIG": "/dev/null"}


def _sources(codename: str) -> Iterator[str]:
    """The machine's own sources of Debian, for another release of it: updates and security too, where it has them."""
    done = subprocess.run(_INDEX, env=_environment(), capture_output=True, text=True, check=False)
    rows = [line.split(" ", 3) for line in done.stdout.splitlines()]
    found: dict[str, str] = {}
    for uri, suite, component, label in (row for row in rows if len(row) == 4):
        kind = re.fullmatch(r"[a-z]+(|-updates|-security)", suite)
        if kind and component == "main" and label in ("Debian", "Debian-Security"):
            found.setdefault(f"{codename}{kind[1]}", uri)
    if codename not in found:
        raise _not_fetched("apt on this machine knows no Debian mirror")
    return (f"deb [signed-by={KEYRING}] {uri} {suite} main\n" for suite, uri in sorted(found.items()))


def _not_fetched(said: str) -> PackagesNotFetched:
    lines = [line.removeprefix("E: ") for line in said.strip().splitlines() if line.startswith("E:")] or [said.strip()[-500:]]
    hint = "build on Debian 12 or 13 with a mirror in reach (apt-get update; debian-archive-keyring), or name no targets"
    return PackagesNotFetched("; ".join(lines[:3]), place="apt", hint=hint)


# what a stanza says ---------------------------------------------------------------------------------------------------


def _fields(stanza: str) -> dict[str, Any]:
    return {found[1]: found[2] for found in _FIELD.finditer(stanza)}


def _checked(stanza: dict[str, str], pool: Path) -> tuple[str, str, int]:
    """Name, SHA-256 and size of the package that this stanza names, compared with what lies in the pool."""
    name = "{Package}_{Version}_{Architecture}.deb".format(**stanza).replace(":", "%3a")
    path = pool / name
    if not path.is_file() or sha256_of(path) != stanza["SHA256"]:
        raise PackagesNotFetched(f"{name} is not what its index names", place=str(pool), hint="run again")
    return name, stanza["SHA256"], path.stat().st_size


def _ours(stanza: str, path: Path) -> str:
    """A stanza of our own index: the same, but where the file lies."""
    kept = "".join(f"{found[0]}\n" for found in _FIELD.finditer(stanza) if found[1] not in _LEFT_OUT)
    return f"{kept}Filename: ./{_file_name(path)}\n"
