"""From a project's folder to its bundle: what a release says, gathered from where it lies, written and signed."""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploybundle import sources
from deploybundle.errors import DeployctlError
from deploybundle.open import Bundle, is_receipt, open_bundle, read_receipt
from deploybundle.open.parts import SUFFIX
from deploybundle.open.reader import bundles_in
from deploybundle.pack.boms import Boms, wheel_parts
from deploybundle.pack.build import Built, build
from deploybundle.pack.problems import BaseNotHere, CannotBundle
from deploybundle.release import Port, Release, load, project_files
from deploybundle.trust import Signer, read_keyset

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Toolbox:
    """What travels beside the product: the lock files of what a deploy node gets, and where fetched things are kept.

    `fresh` asks the distributions' mirrors again, where otherwise what is kept is taken.
    `docs`: the folder of deployctl's own documentation.
    """

    locks: Path
    cache: Path
    fresh: bool = False
    docs: Path | None = None

    def wheels(self) -> dict[str, list[Path]]:
        """deployctl's wheel and all that it needs, for each Python that a deploy node may have."""
        own = sources.own_wheel(self.cache)
        return {
            python: [own, *sources.wheels(python, self.locks / f"site-py{python.replace('.', '')}.txt", self.cache)]
            for python in sources.PYTHONS
        }

    def packages(self, targets: Sequence[str]) -> list[sources.Closure]:
        """What a bare host of each target needs."""
        return [sources.debian(target, self.cache, fresh=self.fresh) for target in targets]

    def manual(self) -> dict[str, Path]:
        """deployctl's own documentation, by relative name."""
        pages = sorted(self.docs.rglob("*.md")) if self.docs else []
        return {path.relative_to(self.docs).as_posix(): path for path in pages if self.docs}

    def tools(self, compose: Path) -> dict[str, Path]:
        """Compose's binary, pip, the collections and the installer."""
        return {
            "docker-compose": compose,
            "collections": sources.collections(self.locks / "collections.txt", self.cache),
            "pip": sources.pip_wheel(self.locks / "pip.txt", self.cache),
            "installer": sources.installer(),
        }


def read_release(
    project: Path, compose: Path, *, files: Sequence[str] = (), version: str | None = None, name: str | None = None
) -> Release:
    """The release as a vendor's machine reads it: with the settings' defaults, and every profile."""
    return load(project, compose_binary=compose, files=files, version=version, name=name, fill_required=True)


def make(
    project: Path, out: Path, signer: Signer, toolbox: Toolbox, *,
    files: Sequence[str] = (), version: str | None = None, name: str | None = None,
    level: int = 3, progress: Progress | None = None, images: sources.ImageSource | None = None, keyset: Path | None = None,
    layouts: Sequence[sources.Layout] = (), since: Sequence[Path] = (), split: int | None = None,
) -> Built:  # fmt: skip
    """Read the project's Compose file, gather all that it names and write `out`/NAME-VERSION.bundle.tar.

    Images come from `layouts` where these have them, else from Docker.
    With `since`, a delta to these bundles, or to what a receipt says that a site holds: NAME-VERSION-from-VERSION.delta.tar.
    With `split`, in parts of so many bytes.

    Raises InputErrors: what is wrong with the release, images that are not there, a daemon that does not answer.
    """
    keys = _keyset(keyset, signer)
    compose = sources.compose_binary()
    release = read_release(project, compose, files=files, version=version, name=name)
    images = images or sources.Layouts(layouts, lambda: sources.docker_images(toolbox.cache))
    infos = images.inspect(_refs(release), used_by=_used_by(release))
    release = _with_exposed(release, infos, project, compose, files, version, name)
    _folder(out)
    wheels, closures, origin = toolbox.wheels(), toolbox.packages(release.targets), sources.provenance(project)
    others = [*map(sources.package_part, closures), *wheel_parts(wheels)]
    bases = [base for path in since for base in bases_of(path, out, release.name)]
    return build(
        out / _file_name(release, bases, split),
        meta=_meta(release, origin), images=infos, source=images,
        files=project_files(release, project, compose_binary=compose),
        wheels=wheels, tools=toolbox.tools(compose), docs=toolbox.manual(),
        packages={each.target: sources.repository(each, signer, toolbox.cache) for each in closures},
        boms=Boms(toolbox.cache, release.name, release.version, str(origin.get("time", "")), others),
        signer=signer, keyset=keys, known=earlier(out), since=bases, split=split,
        level=level, progress=progress, clock=_now,
    )  # fmt: skip


def bases_of(path: Path, folder: Path, name: str) -> list[Bundle]:
    """What a site has: a bundle, or those bundles of the folder that its receipt says it holds of this product.

    BaseNotHere if the folder has none of them; ReceiptInvalid.
    """
    if not is_receipt(path):
        return [_whole(open_bundle(path, None))]
    receipt, here = read_receipt(path), {bundle.index_digest: bundle for bundle in earlier(folder)}
    held = [each for each in receipt.holds if each.name == name]
    if found := [here[each.index] for each in held if each.index in here]:
        return found
    listed = ", ".join(f"{each.version} (index {each.index})" for each in held) or "nothing"
    what = f"{receipt.client} holds of {name}: {listed}; none of these bundles is in {folder}"
    raise BaseNotHere(what, place=str(path), hint="put one there, or name it: --since BUNDLE; or send the whole release")


def _whole(base: Bundle) -> Bundle:
    """A delta's patched layers lie nowhere here, so nothing can be compared with them."""
    if base.pending:
        hint = "write that release whole first (its index is the same), and name that"
        raise CannotBundle("is a delta; expected a whole bundle", place=f"--since {base.path}", hint=hint)
    return base


def _keyset(path: Path | None, signer: Signer) -> dict[str, Path]:
    """The vendor's key set, which must hold the key that signs: sites that take it on would refuse the next bundle."""
    if path is None or not path.exists():
        return {}
    keys, name = read_keyset(path.read_bytes(), str(path)), signer.public.fingerprint
    found = keys.find(name)
    if found is None:
        what = f"the signing key {name} is not in the key set, or revoked in it"
        raise CannotBundle(what, place=str(path), hint="sign with a key of the set, or: deployctl keyset add KEY.pub")
    if found.expires and found.expires < _now().date():
        what = f"the signing key {name} was valid until {found.expires}: sites would refuse what it signs"
        raise CannotBundle(what, place=str(path), hint="sign with a later key, or: deployctl keyset add KEY.pub --expires DAY")
    return {"keyset.json": path}


def _file_name(release: Release, since: Sequence[Bundle], split: int | None) -> str:
    origin = "".join(f"-from-{base.version}" for base in since)
    return f"{release.name}-{release.version}{origin}.{'delta' if since else 'bundle'}.tar{SUFFIX if split else ''}"


def _folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CannotBundle(f"cannot be written: {error.strerror}", place=str(path), hint="name another folder") from error


def earlier(folder: Path) -> list[Bundle]:
    """The bundles of a folder, newest first, whose blobs need not be made again. A damaged one is passed over."""
    found = []
    for path in sorted(bundles_in(folder), key=lambda path: path.stat().st_mtime, reverse=True):
        try:
            found.append(open_bundle(path, None))
        except DeployctlError:
            continue
    return found


def _refs(release: Release) -> list[str]:
    return sorted({service.image for service in release.services.values()})


def _used_by(release: Release) -> dict[str, list[str]]:
    users: dict[str, list[str]] = {}
    for service in release.services.values():
        users.setdefault(service.image, []).append(service.name)
    return users


def _with_exposed(
    release: Release, infos: Sequence[sources.ImageInfo], project: Path, compose: Path,
    files: Sequence[str], version: str | None, name: str | None,
) -> Release:  # fmt: skip
    """The release read once more, now that the images' own ports are known."""
    exposed: Mapping[str, Sequence[Port]] = {info.ref: info.exposed for info in infos if info.exposed}
    if not exposed:
        return release
    return load(project, compose_binary=compose, files=files, version=version, name=name, exposed=exposed, fill_required=True)


def _meta(release: Release, origin: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **({"source": dict(origin)} if origin else {}),
        "schema": 1,
        "name": release.name,
        "version": release.version,
        "targets": list(release.targets),
        "plain": release.plain,
        "compose_files": list(release.compose_files),
        "services": {name: {"image": service.image} for name, service in release.services.items()},
    }


def _now() -> datetime.datetime:
    """The time that the signature states; SOURCE_DATE_EPOCH (reproducible-builds.org) overrides it."""
    fixed = os.environ.get("SOURCE_DATE_EPOCH")
    return datetime.datetime.fromtimestamp(int(fixed), datetime.UTC) if fixed else datetime.datetime.now(datetime.UTC)
