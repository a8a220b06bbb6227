#!/usr/bin/env python3
"""Install deployctl from a bundle onto a machine that has only Python: no pip, no venv, no network.

    python3 install.py BUNDLE [--prefix DIR] [--bin DIR] [--index sha256:...]

Before this runs, the system's own tools have checked the bundle's signature and this script's digest (docs/first-site.md).
From then on every byte that is installed is compared with the digests that the signed index names.
Only the standard library (3.11 and later) is used, and nothing of deployctl is imported.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ARTIFACT = "application/vnd.deployctl.{}.v1"
TITLE = "org.opencontainers.image.title"
JSON_LIMIT = 32 << 20
UNPACKED = 6  # a wheel's files and their compiled form take about six times its size
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
COMMANDS = ("deployctl", "ansible", "ansible-inventory", "ansible-playbook", "ansible-vault")

RUN = """#!/bin/sh
# Written by deployctl's installer: runs the program that this file is called as.
name=$(basename "$0")
home=$(dirname "$(dirname "$(readlink -f "$0")")")
python="{python}"
if [ ! -x "$python" ]; then
  echo "$name: $python is gone (was the system upgraded?); run the bundle's installer again" >&2
  exit 4
fi
export PYTHONPATH="$home/lib" PYTHONNOUSERSITE=1 PATH="$home/bin:$PATH"
export ANSIBLE_COLLECTIONS_PATH="$home/collections" DEPLOYCTL_COMPOSE="$home/tools/docker-compose"
case $name in ansible*)  # plain Ansible knows our roles, unless somebody has a configuration of his own
  [ -n "$ANSIBLE_CONFIG" ] || [ -e ansible.cfg ] || export ANSIBLE_CONFIG="$home/lib/deployctl/data/playbooks/ansible.cfg" ;;
esac
exec "$python" -s "$home/lib/bin/$name" "$@"
"""


class Stop(Exception):
    """The reason to stop, with an exit code: 1 the caller's input, 3 a bundle refused, 4 this machine."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class Bundle:
    """The tar, read in place. Whatever is read from it is compared with its digest."""

    def __init__(self, path: Path) -> None:
        try:
            self._tar = tarfile.open(path, "r:")  # noqa: SIM115  read until the process ends
            members = self._tar.getmembers()
        except tarfile.TarError as error:
            raise Stop(3, f"{path}: refused: no bundle, or cut short ({error}); copy it again") from error
        except OSError as error:
            raise Stop(1, f"{path}: {error.strerror}") from error
        self.members = {member.name: member for member in members if member.isreg()}
        if len(self.members) != len(members):
            raise Stop(3, f"{path}: refused: a name stands in it twice, or something is no plain file")
        self.index = self._member("index.json", JSON_LIMIT)
        self.index_digest = "sha256:" + hashlib.sha256(self.index).hexdigest()

    def _member(self, name: str, limit: int) -> bytes:
        member = self.members.get(name)
        stream = self._tar.extractfile(member) if member and member.size <= limit else None
        if stream is None:
            raise Stop(3, f"refused: {name} is not in the bundle, or too large")
        return stream.read()

    def artifact(self, kind: str) -> tuple[str, dict[str, dict[str, Any]]]:
        """The manifest's digest, and title to descriptor of one kind of artifact; raises KeyError without it."""
        for entry in json.loads(self.index)["manifests"]:
            if entry.get("artifactType") == ARTIFACT.format(kind):
                manifest = json.loads(self.json_blob(entry["digest"]))
                return entry["digest"], {_safe(layer["annotations"][TITLE]): layer for layer in manifest["layers"]}
        raise KeyError(kind)

    def kinds(self) -> list[str]:
        """The kinds of artifacts in the index."""
        types = [str(entry.get("artifactType", "")) for entry in json.loads(self.index)["manifests"]]
        return [kind.removeprefix("application/vnd.deployctl.").removesuffix(".v1") for kind in types if kind]

    def json_blob(self, digest: str) -> bytes:
        """A small blob, verified."""
        content = self._member(_blob_name(digest), JSON_LIMIT)
        _compare(digest, hashlib.sha256(content).hexdigest())
        return content

    def copy(self, digest: str, target: Path) -> None:
        """A blob into a file, verified on the way."""
        stream = self._tar.extractfile(self.members[_blob_name(digest)]) if _blob_name(digest) in self.members else None
        if stream is None:
            raise Stop(3, f"refused: blob {digest} is not in the bundle; was it cut short? copy it again")
        sha256 = hashlib.sha256()
        with target.open("wb") as file:
            while block := stream.read(1 << 20):
                sha256.update(block)
                file.write(block)
        _compare(digest, sha256.hexdigest())


def _blob_name(digest: str) -> str:
    if not DIGEST.fullmatch(digest):
        raise Stop(3, f"refused: no digest: {digest[:80]}")
    return f"blobs/sha256/{digest.removeprefix('sha256:')}"


def _compare(digest: str, got: str) -> None:
    if digest != f"sha256:{got}":
        raise Stop(3, f"refused: a damaged blob: expected {digest}, got sha256:{got}; copy the bundle again")


def _safe(name: str) -> str:
    if "/" in name or name.startswith(".") or not name.isprintable():
        raise Stop(3, f"refused: a hostile name: {name[:80]!r}")
    return name


def say(text: str) -> None:
    """To the person."""
    sys.stderr.write(f"{text}\n")


def python_version() -> str:
    """As the bundle names its wheels: "3.13"."""
    return f"{sys.version_info[0]}.{sys.version_info[1]}"


def wheels_of(bundle: Bundle) -> tuple[str, dict[str, dict[str, Any]]]:
    """The wheels for this Python."""
    if platform.machine() != "x86_64":
        raise Stop(4, f"the bundle is for x86_64; this machine is {platform.machine()}")
    try:
        return bundle.artifact(f"wheels-{python_version()}")
    except KeyError:
        known = [kind.removeprefix("wheels-") for kind in bundle.kinds() if kind.startswith("wheels-")]
        raise Stop(4, f"the bundle is for Python {', '.join(known)}; this one is {python_version()}") from None


def tools_of(bundle: Bundle) -> tuple[str, dict[str, dict[str, Any]]]:
    """pip, the collections and Compose."""
    try:
        digest, tools = bundle.artifact("tools")
    except KeyError:
        raise Stop(3, "refused: no tools in the bundle") from None
    missing = {"pip", "collections", "docker-compose"} - tools.keys()
    if missing:
        raise Stop(3, f"refused: the bundle lacks {', '.join(sorted(missing))}")
    return digest, tools


def check_space(prefix: Path, wheels: dict[str, dict[str, Any]], tools: dict[str, dict[str, Any]]) -> None:
    """Stop before the first byte when the disk is too small."""
    need = UNPACKED * sum(entry["size"] for entry in wheels.values()) + 2 * sum(entry["size"] for entry in tools.values())
    free = shutil.disk_usage(prefix).free
    if free < need:
        raise Stop(4, f"{prefix}: {need >> 20} MB needed, {free >> 20} MB free; name another folder with --prefix")


def requirements(wheels: dict[str, dict[str, Any]]) -> str:
    """What pip shall install, each with its digest."""
    lines = []
    for name, entry in sorted(wheels.items()):
        project, version, *_ = name.split("-")
        lines.append(f"{project}=={version} --hash={entry['digest']}\n")
    return "".join(lines)


def install_wheels(bundle: Bundle, wheels: dict[str, dict[str, Any]], pip: str, folder: Path) -> None:
    """The wheels into `folder`/lib, by pip out of its own wheel."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        work = Path(name)
        bundle.copy(pip, work / "pip-0-py3-none-any.whl")
        (work / "wheels").mkdir()
        for title, entry in wheels.items():
            bundle.copy(entry["digest"], work / "wheels" / title)
        (work / "requirements.txt").write_text(requirements(wheels))
        run_pip(work, folder / "lib")
    compile_all = [sys.executable, "-I", "-m", "compileall", "-q", "-j", "0", str(folder / "lib")]
    subprocess.run(compile_all, check=False, stdout=subprocess.DEVNULL)


def run_pip(work: Path, target: Path) -> None:
    """pip, offline and deaf to the machine's own configuration."""
    command = [
        sys.executable, "-I", str(work / "pip-0-py3-none-any.whl" / "pip"), "--isolated", "install", "--quiet", "--no-index",
        "--find-links", str(work / "wheels"), "--require-hashes", "--requirement", str(work / "requirements.txt"),
        "--target", str(target), "--no-compile", "--no-cache-dir", "--disable-pip-version-check", "--no-warn-script-location",
        "--root-user-action=ignore",
    ]  # fmt: skip
    environment = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "HOME": str(work), "TMPDIR": str(work), "LC_ALL": "C.UTF-8"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Stop(4, f"pip could not install the wheels:\n{(done.stderr or done.stdout).strip()}")


def unpack_collections(archive: Path, folder: Path) -> None:
    """The collections' files; nothing else is in that tar."""
    with tarfile.open(archive, "r:") as tar:
        for member in tar:
            target = folder / member.name
            stream = tar.extractfile(member) if member.isreg() and ".." not in target.parts else None
            if stream is None or not target.is_relative_to(folder):
                raise Stop(3, f"refused: a hostile name: {member.name[:80]!r}")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(stream.read())


def write_tools(bundle: Bundle, tools: dict[str, dict[str, Any]], folder: Path) -> None:
    """Compose's binary, the collections, and the commands."""
    for name in ("bin", "tools", "collections"):
        (folder / name).mkdir()
    bundle.copy(tools["docker-compose"]["digest"], folder / "tools" / "docker-compose")
    (folder / "tools" / "docker-compose").chmod(0o755)
    bundle.copy(tools["collections"]["digest"], folder / "collections.tar")
    unpack_collections(folder / "collections.tar", folder / "collections")
    (folder / "collections.tar").unlink()
    run = folder / "bin" / "run"
    run.write_text(RUN.format(python=Path(sys.executable).resolve()))
    run.chmod(0o755)
    for command in COMMANDS:
        (folder / "bin" / command).symlink_to("run")
    (folder / "playbooks").symlink_to("lib/deployctl/data/playbooks")


def swap(link: Path, target: str) -> None:
    """Point `link` at `target` in one step."""
    fresh = link.with_name(f".{link.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target)
    fresh.replace(link)


def launcher(folder: Path, prefix: Path) -> Path:
    """The `deployctl` on the PATH. A file of somebody else's in its place is not touched."""
    folder.mkdir(parents=True, exist_ok=True)
    link = folder / "deployctl"
    if link.exists() and not link.is_symlink():
        raise Stop(4, f"{link} is there and not ours; move it away")
    swap(link, str(prefix / "current" / "bin" / "deployctl"))
    return link


@contextlib.contextmanager
def locked(prefix: Path) -> Iterator[None]:
    """One installer at a time; what a killed one left is removed."""
    prefix.mkdir(parents=True, exist_ok=True)
    with (prefix / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for left in prefix.glob(".new-*"):
            shutil.rmtree(left, ignore_errors=True)
        yield


def install(bundle: Bundle, prefix: Path) -> Path:
    """Everything below a folder named for what it holds; a folder that is there already is complete. Returns it."""
    wheels_digest, wheels = wheels_of(bundle)
    tools_digest, tools = tools_of(bundle)
    version = next((name.split("-")[1] for name in wheels if name.startswith("deployctl-")), "0")
    identity = hashlib.sha256(f"{wheels_digest} {tools_digest}".encode()).hexdigest()
    folder = prefix / f"{version}-{identity[:12]}"
    if not folder.is_dir():
        check_space(prefix, wheels, tools)
        with fresh_folder(prefix) as fresh:
            write_tools(bundle, tools, fresh)
            install_wheels(bundle, wheels, tools["pip"]["digest"], fresh)
            installed = {"index": bundle.index_digest, "python": python_version()}
            (fresh / "installed.json").write_text(json.dumps(installed) + "\n")
            fresh.rename(folder)
    swap(prefix / "current", folder.name)
    return folder


@contextlib.contextmanager
def fresh_folder(prefix: Path) -> Iterator[Path]:
    """A folder to fill and rename; what is not renamed is removed."""
    fresh = Path(tempfile.mkdtemp(prefix=".new-", dir=prefix))
    fresh.chmod(0o755)
    try:
        yield fresh
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def arguments(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    root = os.geteuid() == 0
    prefix = Path("/opt/deployctl") if root else Path.home() / ".local" / "share" / "deployctl"
    programs = Path("/usr/local/bin") if root else Path.home() / ".local" / "bin"
    parser = argparse.ArgumentParser(prog="install.py", description="Install deployctl from a bundle, without a network.")
    parser.add_argument("bundle", type=Path, help="the bundle, such as collector-1.0.0.bundle.tar")
    parser.add_argument("--prefix", type=Path, default=prefix, help="where to install (default: %(default)s)")
    parser.add_argument("--bin", type=Path, default=programs, help="where the command goes (default: %(default)s)")
    parser.add_argument("--index", help="the digest of the index that was verified, to be compared once more")
    return parser.parse_args(argv)


def run(wanted: argparse.Namespace) -> tuple[Path, Path]:
    """Check, install, and link; the folder and the command."""
    bundle = Bundle(wanted.bundle)
    say(f"index     {bundle.index_digest}")
    if wanted.index and wanted.index.removeprefix("sha256:") != bundle.index_digest.removeprefix("sha256:"):
        raise Stop(
            3,
            f"refused: this is another bundle than the one whose index you verified:\n"
            f"  expected {wanted.index}\n  got      {bundle.index_digest}\n"
            f"  → verify this file as docs/first-site.md says, or name the file that you verified",
        )
    prefix = wanted.prefix.absolute()
    with locked(prefix):
        return install(bundle, prefix), launcher(wanted.bin.absolute(), prefix)


def main(argv: list[str] | None = None) -> int:
    """Install; the exit code."""
    os.umask(0o022)
    try:
        folder, link = run(arguments(argv))
    except Stop as stop:
        say(f"install.py: {stop}")
        return stop.code
    except KeyboardInterrupt:
        say("install.py: interrupted; nothing was changed")
        return 130
    except (OSError, ValueError, LookupError, TypeError) as error:
        say(f"install.py: {type(error).__name__}: {error}")
        return 4 if isinstance(error, OSError) else 3
    say(f"installed {folder}\ncommand   {link}")
    if str(link.parent) not in os.environ.get("PATH", "").split(os.pathsep):
        say(f"  → {link.parent} is not on your PATH: log in again, or: export PATH={link.parent}:$PATH")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
