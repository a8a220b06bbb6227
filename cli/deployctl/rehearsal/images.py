"""The images of the rehearsal: built from the contexts beside this file, tagged by what they are made of."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path

from deployctl.rehearsal import docker, naming

REPOSITORY = "deployctl-rehearsal"
SYSTEMS = {"debian-13": "trixie", "debian-12": "bookworm"}
"""What a host can be; the first is what it is unless its variable `rehearse_system` says otherwise."""


@dataclass(frozen=True)
class Recipe:
    """How an image is made: its context beside this file, on another image of ours or on Debian's."""

    context: str
    parent: str = ""
    debian: str = "trixie"


RECIPES = {
    "base": Recipe("base"),
    "net": Recipe("net"),
    "bare": Recipe("bare", "base"),
    "host": Recipe("host", "base"),
    "base-debian-12": Recipe("base", debian="bookworm"),
    "bare-debian-12": Recipe("bare", "base-debian-12", "bookworm"),
}


def image_of(kind: str, system: str, *, docker: bool) -> str:
    """The name of a machine's image. Debian 12 is always without Docker: its own has no Compose that would do."""
    if kind == "host" and docker and system == "debian-13":
        return "host"
    if kind in ("host", "deploy"):
        return "bare" if system == "debian-13" else f"bare-{system}"
    return "net"


def ensure(wanted: Iterable[str], say: Callable[[str], None]) -> dict[str, str]:
    """The tags of all images by name; those of `wanted` that are missing, or whose context changed, are built first."""
    with as_file(files("deployctl.rehearsal") / "images") as contexts:
        named, there = tags(contexts), set(known())
        needed = {name for each in wanted for name in (RECIPES[each].parent, each) if name}
        missing = [name for name in RECIPES if name in needed and named[name] not in there]
        if missing:
            say(f"building the rehearsal's images ({', '.join(missing)}); once, about a minute")
            for codename in sorted({RECIPES[name].debian for name in missing}):
                _debian(codename, say)
            _build_all(contexts, named, missing)
            _forget_old(named)
    return named


def tags(contexts: Path) -> dict[str, str]:
    """The tag of each image: a digest over its context and its parent's tag. Pure but for reading the files."""
    found: dict[str, str] = {}
    for name, recipe in RECIPES.items():
        digest = hashlib.sha256(found.get(recipe.parent, _slim(recipe.debian)).encode())
        folder = contexts / recipe.context
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            digest.update(f"\0{path.relative_to(contexts)}\0".encode() + path.read_bytes())
        found[name] = f"{REPOSITORY}/{name}:{digest.hexdigest()[:12]}"
    return found


def _slim(codename: str) -> str:
    return f"debian:{codename}-slim"


def known(name: str = "*") -> list[str]:
    """The tags of the rehearsal's images that this machine has."""
    return docker.lines(["image", "ls", "--filter", f"reference={REPOSITORY}/{name}", "--format", "{{.Repository}}:{{.Tag}}"])


def remove() -> list[str]:
    """Remove every image of the rehearsal that nothing uses; returns their tags."""
    return [tag for tag in known() if docker.run(["image", "rm", tag], check=False).returncode == 0]


def build_argv(context: Path, tag: str, parent: str) -> list[str]:
    """`docker build`, on the machine's own network: the daemon's default bridge may be gone or shut."""
    return ["build", "-q", "--network", "host", "--build-arg", f"BASE={parent}", "-t", tag, str(context)]


def _build_all(contexts: Path, named: dict[str, str], missing: list[str]) -> None:
    """Each image in turn after its parent; what has no common parent, side by side."""

    def chain(names: list[str]) -> None:
        for name in names:
            recipe = RECIPES[name]
            docker.run(build_argv(contexts / recipe.context, named[name], named.get(recipe.parent, _slim(recipe.debian))))

    families = {name: recipe.parent or name for name, recipe in RECIPES.items()}
    chains = [[name for name in missing if families[name] == family] for family in dict.fromkeys(families.values())]
    with ThreadPoolExecutor(2) as pool:
        for future in [pool.submit(chain, names) for names in chains if names]:
            future.result()


def _forget_old(wanted: dict[str, str]) -> None:
    """Remove images of earlier contexts, unless a rehearsal still runs on them."""
    used = set(docker.lines(["ps", "-a", "--filter", f"label={naming.LABEL}", "--format", "{{.Image}}"]))
    for tag in set(known()) - used - set(wanted.values()):
        docker.run(["image", "rm", tag], check=False)


def _debian(codename: str, say: Callable[[str], None]) -> None:
    """Debian's base image: there, or made from Debian's packages, or else left for `docker build` to pull."""
    name, mirror = _slim(codename), _mirror()
    if docker.run(["image", "inspect", name], check=False).returncode == 0 or not shutil.which("mmdebstrap") or not mirror:
        return
    say(f"making {name} from Debian's packages")
    with tempfile.TemporaryDirectory(prefix="deployctl-") as folder:
        tar = Path(folder) / "base.tar"
        _mmdebstrap(codename, tar, mirror)
        docker.run(["import", "-c", 'CMD ["bash"]', str(tar), name])


def _mmdebstrap(codename: str, tar: Path, mirror: str) -> None:
    leave_out = [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("man", "locale", "doc")]
    argv = [
        "mmdebstrap", "--quiet", "--variant=minbase", "--include=ca-certificates", *leave_out,
        "--dpkgopt=path-include=/usr/share/doc/*/copyright", codename, str(tar), f"deb {mirror} {codename} main",
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
