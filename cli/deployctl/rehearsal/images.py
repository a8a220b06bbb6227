"""The images of the rehearsal: built from the contexts beside this file, tagged by what they are made of."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import as_file, files
from pathlib import Path

from deployctl.rehearsal import docker, naming

REPOSITORY = "deployctl-rehearsal"
DEBIAN = "debian:trixie-slim"
PARENTS = {"base": "", "net": "", "bare": "base", "host": "base"}


def ensure(say: Callable[[str], None]) -> dict[str, str]:
    """The tags of the images by name; those that are missing, or whose context changed, are built first."""
    with as_file(files("deployctl.rehearsal") / "images") as contexts:
        wanted = tags(contexts)
        there = set(known())
        missing = [name for name in PARENTS if wanted[name] not in there]
        if missing:
            say(f"building the rehearsal's images ({', '.join(missing)}); once, about a minute")
            _debian(say)
            _build_all(contexts, wanted, missing)
            _forget_old(wanted)
    return wanted


def tags(contexts: Path) -> dict[str, str]:
    """The tag of each image: a digest over its context and its parent's tag. Pure but for reading the files."""
    found: dict[str, str] = {}
    for name, parent in PARENTS.items():
        digest = hashlib.sha256(found.get(parent, DEBIAN).encode())
        for path in sorted(path for path in (contexts / name).rglob("*") if path.is_file()):
            digest.update(f"\0{path.relative_to(contexts)}\0".encode() + path.read_bytes())
        found[name] = f"{REPOSITORY}/{name}:{digest.hexdigest()[:12]}"
    return found


def known(name: str = "*") -> list[str]:
    """The tags of the rehearsal's images that this machine has."""
    return docker.lines(["image", "ls", "--filter", f"reference={REPOSITORY}/{name}", "--format", "{{.Repository}}:{{.Tag}}"])


def remove() -> list[str]:
    """Remove every image of the rehearsal that nothing uses; returns their tags."""
    return [tag for tag in known() if docker.run(["image", "rm", tag], check=False).returncode == 0]


def build_argv(context: Path, tag: str, parent: str | None) -> list[str]:
    """`docker build`, on the machine's own network: the daemon's default bridge may be gone or shut."""
    base = ["--build-arg", f"BASE={parent}"] if parent else []
    return ["build", "-q", "--network", "host", *base, "-t", tag, str(context)]


def _build_all(contexts: Path, wanted: dict[str, str], missing: list[str]) -> None:
    """Each image in turn after its parent; what has no common parent, side by side."""

    def chain(names: list[str]) -> None:
        for name in names:
            if name in missing:
                docker.run(build_argv(contexts / name, wanted[name], wanted.get(PARENTS[name])))

    with ThreadPoolExecutor(2) as pool:
        for future in [pool.submit(chain, ["base", "bare", "host"]), pool.submit(chain, ["net"])]:
            future.result()


def _forget_old(wanted: dict[str, str]) -> None:
    """Remove images of earlier contexts, unless a rehearsal still runs on them."""
    used = set(docker.lines(["ps", "-a", "--filter", f"label={naming.LABEL}", "--format", "{{.Image}}"]))
    for tag in set(known()) - used - set(wanted.values()):
        docker.run(["image", "rm", tag], check=False)


def _debian(say: Callable[[str], None]) -> None:
    """Debian's base image: there, or made from Debian's packages, or else left for `docker build` to pull."""
    if docker.run(["image", "inspect", DEBIAN], check=False).returncode == 0 or not shutil.which("mmdebstrap"):
        return
    mirror = _mirror()
    if mirror is None:
        return
    say(f"making {DEBIAN} from Debian's packages")
    with tempfile.TemporaryDirectory(prefix="deployctl-") as folder:
        tar = Path(folder) / "base.tar"
        _mmdebstrap(tar, mirror)
        docker.run(["import", "-c", 'CMD ["bash"]', str(tar), DEBIAN])


def _mmdebstrap(tar: Path, mirror: str) -> None:
    leave_out = [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("man", "locale", "doc")]
    argv = [
        "mmdebstrap", "--quiet", "--variant=minbase", "--include=ca-certificates", *leave_out,
        "--dpkgopt=path-include=/usr/share/doc/*/copyright", "trixie", str(tar), f"deb {mirror} trixie main",
    ]  # fmt: skip
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise docker.DockerFailed(done.stderr.strip()[-2000:], place="mmdebstrap")


def _mirror() -> str | None:
    """The Debian mirror that this machine's apt uses already."""
    argv = ["apt-get", "indextargets", "--format", "$(REPO_URI) $(ORIGIN) $(LABEL)", "Created-By: Packages"]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    fields = [line.split() for line in done.stdout.splitlines()]
    return next((words[0] for words in fields if len(words) == 3 and words[2] == "Debian"), None)
