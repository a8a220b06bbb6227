"""Debian's packages, out of a small mirror that is made here: signed, resolved, kept, and refused when changed."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploybundle import trust
from deploybundle.sources import PackagesNotFetched, debian, repository
from deploybundle.trust import openpgp

pytestmark = pytest.mark.skipif(not shutil.which("apt-get") or not shutil.which("dpkg-deb"), reason="no apt here")
PACKAGES = {
    "libc6": ("2.41", "", "Priority: required\n"), "apt": ("3", "libc6", ""), "docker.io": ("26.1", "libc6, runc (>= 1)", ""),
    "runc": ("1:1.1", "libc6", ""), "docker-cli": ("26.1", "", ""), "docker-compose": ("2.26", "", ""),
    "iptables": ("1.8", "", ""), "nftables": ("1.1", "libnft1", ""), "libnft1": ("1.1", "", ""), "nobody": ("1", "", ""),
}  # fmt: skip


class Mirror:
    """A Debian mirror in a folder, signed by a key of its own."""

    def __init__(self, home: Path) -> None:
        self.folder, self.key = home / "mirror", home / "keyring.asc"
        trust.generate(home / "archive", None)
        self.signer = trust.load_private(home / "archive", None)
        self.key.write_bytes(openpgp.armored_key(self.signer))
        self.folder.mkdir()
        for name, about in PACKAGES.items():
            self._deb(name, *about)
        self.publish()

    def _deb(self, name: str, version: str, depends: str, more: str) -> None:
        tree = self.folder.parent / "tree" / name
        (tree / "DEBIAN").mkdir(parents=True)
        control = f"Package: {name}\nVersion: {version}\nArchitecture: amd64\nMaintainer: x <x@x>\nDescription: x\n{more}"
        (tree / "DEBIAN" / "control").write_text(control + (f"Depends: {depends}\n" if depends else ""))
        subprocess.run(["dpkg-deb", "-b", "-Znone", tree, self.folder], check=True, capture_output=True)

    def publish(self) -> None:
        """Write the index of what lies in the folder, signed."""
        listed = []
        for deb in sorted(self.folder.glob("*.deb")):
            control = subprocess.run(["dpkg-deb", "-f", deb], check=True, capture_output=True, text=True).stdout
            digest = hashlib.sha256(deb.read_bytes()).hexdigest()
            listed.append(f"{control}Filename: ./{deb.name}\nSize: {deb.stat().st_size}\nSHA256: {digest}\n")
        text = "\n".join(listed)
        (self.folder / "Packages").write_text(text)
        digest = hashlib.sha256(text.encode()).hexdigest()
        release = (
            f"Origin: Debian\nCodename: trixie\nDate: Fri, 20 Nov 2026 02:11:10 UTC\nSHA256:\n {digest} {len(text)} Packages\n"
        )
        (self.folder / "InRelease").write_bytes(openpgp.clear_signed(release, self.signer))

    def sources(self, codename: str) -> Iterator[str]:
        """What stands in for the machine's own sources."""
        yield f"deb [signed-by={self.key}] file:{self.folder} ./\n"


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mirror:
    made = Mirror(tmp_path)
    monkeypatch.setattr(sys.modules["deploybundle.sources.debian"], "_sources", made.sources)
    return made


NAMES = ["docker-cli", "docker-compose", "docker.io", "iptables", "libnft1", "nftables", "runc"]


def test_the_closure_is_what_is_needed_besides_a_minimal_debian(mirror: Mirror, tmp_path: Path) -> None:
    found = debian("debian-13", tmp_path / "cache")
    assert [stanza.split()[1] for stanza in found.stanzas] == NAMES
    assert found.as_of == "Fri, 20 Nov 2026 02:11:10 UTC"
    assert all(file.digest == f"sha256:{hashlib.sha256(file.path.read_bytes()).hexdigest()}" for file in found.files)


def test_what_is_kept_needs_no_mirror_and_fresh_asks_again(mirror: Mirror, tmp_path: Path) -> None:
    before = debian("debian-13", tmp_path / "cache")
    shutil.rmtree(mirror.folder)
    assert debian("debian-13", tmp_path / "cache") == before
    with pytest.raises(PackagesNotFetched):
        debian("debian-13", tmp_path / "cache", fresh=True)


def test_a_mirror_signed_by_somebody_else_is_refused(mirror: Mirror, tmp_path: Path) -> None:
    trust.generate(tmp_path / "other", None)
    mirror.signer = trust.load_private(tmp_path / "other", None)
    mirror.publish()
    with pytest.raises(PackagesNotFetched, match="not signed|NO_PUBKEY|couldn't be verified|public key"):
        debian("debian-13", tmp_path / "cache")


def test_a_package_that_is_not_what_the_mirror_signed_is_refused(mirror: Mirror, tmp_path: Path) -> None:
    deb = next(mirror.folder.glob("runc*.deb"))
    deb.write_bytes(deb.read_bytes()[:-1] + b"x")
    with pytest.raises(PackagesNotFetched, match=r"[Hh]ash"):
        debian("debian-13", tmp_path / "cache")


@pytest.fixture
def laid_out(mirror: Mirror, tmp_path: Path) -> Path:
    """The repository as a host gets it."""
    trust.generate(tmp_path / "vendor", None)
    folder, signer = tmp_path / "host", trust.load_private(tmp_path / "vendor", None)
    folder.mkdir()
    for name, member in repository(debian("debian-13", tmp_path / "cache"), signer, tmp_path / "cache").items():
        shutil.copy(member if isinstance(member, Path) else member.path, folder / name)
    return folder


def apt(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """apt as the role runs it, into an empty root."""
    for name in ("lists/partial", "archives/partial"):
        (folder / "apt" / name).mkdir(parents=True, exist_ok=True)
    (folder / "apt" / "status").write_text("Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2.41\n")
    (folder / "apt" / "list").write_text(f"deb [signed-by={folder}/key.asc] file:{folder} ./\n")
    options = {
        "Dir::Etc::sourcelist": "list", "Dir::State::lists": "lists", "Dir::Cache": "", "Dir::State::status": "status",
    }  # fmt: skip
    given = [word for key, value in options.items() for word in ("-o", f"{key}={folder}/apt/{value}")]
    return subprocess.run(
        ["apt-get", *given, "-o", "Dir::Etc::sourceparts=-", "-o", "APT::Sandbox::User=", "-o", "Debug::NoLocking=1",
         "-o", "Acquire::Check-Date=false", *words], capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_a_hosts_apt_takes_the_repository_and_finds_all_in_it(laid_out: Path) -> None:
    assert apt(laid_out, "update").returncode == 0
    done = apt(
        laid_out, "install", "-y", "--download-only", "docker.io", "docker-cli", "docker-compose", "iptables", "nftables"
    )
    assert done.returncode == 0, done.stderr
    assert "7 newly installed" in done.stdout


@pytest.mark.parametrize("what", ["Packages", "InRelease", "deb"])
def test_a_hosts_apt_refuses_what_was_changed_since_it_was_signed(laid_out: Path, what: str) -> None:
    path = next(laid_out.glob("docker.io*.deb")) if what == "deb" else laid_out / what
    data = path.read_bytes()
    path.write_bytes(data.replace(b"26.1", b"26.2") if what == "Packages" else data.replace(b"Origin", b"0rigin") + b"x")
    update = apt(laid_out, "update")
    done = apt(laid_out, "install", "-y", "--download-only", "docker.io")
    assert done.returncode != 0, update.stdout + done.stdout
