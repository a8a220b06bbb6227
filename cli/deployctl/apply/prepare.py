"""From a bundle and a site to a plan: everything that is known before anything changes."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from deploybundle.errors import DeployctlError, InputError
from deploybundle.open import Bundle, extract_files, repositories
from deploybundle.release import ComposeRefused, Port, ProfileUnknown, Release, ReleaseInvalid, load
from deployctl.desired import Desired, File, Sources, around, desired, own_answers, proposal, settings_of
from deployctl.desired.paths import network_file
from deployctl.desired.system import system_files
from deployctl.hosts import ask, survey
from deployctl.plan import Plan, held, plan, read_record
from deployctl.secrets import Backend, load_secrets
from deployctl.site import Host, Site
from deployctl.verify import preflight, warnings

Facts = Mapping[str, Mapping[str, Any]]


class SettingRefused(InputError):
    """The release cannot be read with the client's answers: one is missing, or of another kind than is asked for.

    Change the answer in client.yml: `settings`. `deployctl inspect BUNDLE` lists the settings with their defaults.
    """

    code = "setting-refused"


@dataclass(frozen=True)
class Prepared:
    """What shall be, what is, and the way from one to the other. `problems` must be empty before anything is done."""

    site: Site
    bundle: Bundle
    release: Release
    desired: Desired
    facts: Facts
    plan: Plan
    problems: tuple[DeployctlError, ...]
    warnings: tuple[str, ...] = ()

    @property
    def hosts(self) -> list[Host]:
        """The hosts that the product runs on, or shall leave."""
        return [self.site.hosts[name] for name in {**self.desired.hosts, **self.plan.hosts}]


def prepare(site: Site, bundle: Bundle, backend: Backend) -> Prepared:
    """Read the release with the client's answers, ask the hosts, and plan. Nothing changes.

    Raises InputErrors. What is wrong with hosts does not raise; it is in `problems`, all of it.
    """
    site = site.of(bundle.name)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(ask_facts, site, site.targets, bundle.name)
        with tempfile.TemporaryDirectory(prefix="deployctl-") as folder:
            project = Path(folder).resolve() / bundle.name
            release = read_at_site(bundle, site, project)
            secrets = load_secrets(backend, bundle.name, release.secrets, site.command("secrets generate", str(bundle.path)))
            facts, errors = asked.result()
            sources, given = Sources(project, _contents(project), bundle.images, secrets), around(facts, bundle.name)
            site = own_answers(release, settings_of(release, sources), site, given)
            shall = desired(release, site, sources, given)
    return _planned(site, bundle, release, shall, facts, errors)


def again(before: Prepared) -> Prepared:
    """The same with the facts of now."""
    facts, errors = ask_facts(before.site, before.hosts, before.bundle.name)
    return _planned(before.site, before.bundle, before.release, before.desired, facts, errors)


def ask_facts(
    site: Site, hosts: list[Host], project: str, *, images: bool = False
) -> tuple[dict[str, dict[str, Any]], list[DeployctlError]]:
    """What each host has, and the problems of those that could not be asked. Clocks are corrected for the way.

    `images` costs each engine a call for each of its images.
    """
    return survey(hosts, lambda host: ask_one(site, host, project, images=images))


def ask_one(site: Site, host: Host, project: str, *, images: bool = False) -> dict[str, Any]:
    """One host's facts; its clock is told as seconds ahead of ours, half the round trip allowed for."""
    began = time.time()
    look = [network_file(project), *system_files()] if project else []
    facts = ask(host, site.known_hosts, "facts", {"project": project, "images": images, "look": look})
    facts["record"] = read_record(facts["record"], host.name)
    facts["ahead"] = facts["clock"] - (began + time.time()) / 2
    return facts


def _planned(
    site: Site, bundle: Bundle, release: Release, shall: Desired, facts: Facts, errors: list[DeployctlError]
) -> Prepared:
    facts, silent_now = _with_images(site, bundle, shall, facts)
    errors = [*errors, *silent_now]
    reachable = replace(shall, hosts={name: host for name, host in shall.hosts.items() if name in facts})
    steps = plan(
        reachable, facts, bundle.images, site.name, str(bundle.path.absolute()), bundle.index_digest, repositories(bundle)
    )
    asked = {name: facts[name] for name in steps.hosts}
    silent = [error for error in errors if error.place not in site.hosts or error.place in shall.hosts]
    problems = [*silent, *preflight(reachable, steps, asked, bundle.images, proposal(site, around(facts, bundle.name)))]
    unasked = [error for error in errors if error.place in site.hosts and error.place not in shall.hosts]
    notes = [*warnings(reachable, asked, site.hosts), *(_unasked(error, bundle.name) for error in unasked)]
    return Prepared(site, bundle, release, shall, asked, steps, tuple(problems), tuple(notes))


def _unasked(error: DeployctlError, project: str) -> str:
    return f"{error}: whether something of {project} from before runs there is not known"


def _with_images(site: Site, bundle: Bundle, shall: Desired, facts: Facts) -> tuple[Facts, list[DeployctlError]]:
    """The facts with each host's images where they matter: where nothing changed, no engine is asked for its images."""
    asking = [site.hosts[name] for name in facts if "images" not in facts[name] and not _needless(name, bundle, shall, facts)]
    found, errors = survey(asking, lambda host: ask(host, site.known_hosts, "images", {}))
    silent = {host.name for host in asking} - set(found)
    return {name: {**about, **found.get(name, {})} for name, about in facts.items() if name not in silent}, errors


def _needless(name: str, bundle: Bundle, shall: Desired, facts: Facts) -> bool:
    """Whether a host's containers show all its images, or it has nothing of the product and shall have nothing."""
    if name in shall.hosts:
        return held(shall.hosts[name], bundle.images, facts[name])
    return facts[name]["record"] is None and not facts[name]["containers"]


def read_at_site(bundle: Bundle, site: Site, project: Path) -> Release:
    """The release with the client's answers. Its files are laid below `project`.

    Raises SettingRefused where it is an answer of client.yml that the release cannot be read with.
    """
    site = site.of(bundle.name)
    answers, profiles = dict(site.client.settings), tuple(site.client.profiles)
    place = str(site.folder / "group_vars" / "all" / "client.yml")
    try:
        return read_bundle(bundle, project, answers, profiles)
    except ProfileUnknown as problem:
        problem.place = f"{place}: profiles"
        raise
    except (ComposeRefused, ReleaseInvalid) as problem:
        name = _to_blame(bundle, answers, profiles)
        if name is None:
            raise
        hint = "`deployctl inspect BUNDLE` lists the settings with their defaults"
        raise SettingRefused(str(problem), place=f"{place}: settings{name and '.' + name}", hint=hint) from problem


def _to_blame(bundle: Bundle, answers: Mapping[str, str], profiles: tuple[str, ...]) -> str | None:
    """The answer without which the release can be read; "" where one is missing; None where it is the release's own fault."""
    for name in answers:
        if _reads(bundle, {key: value for key, value in answers.items() if key != name}, profiles):
            return name
    return "" if _reads(bundle, {}, profiles) else None


def _reads(bundle: Bundle, answers: Mapping[str, str], profiles: tuple[str, ...]) -> bool:
    with tempfile.TemporaryDirectory(prefix="deployctl-") as folder:
        try:
            read_bundle(bundle, Path(folder).resolve() / bundle.name, answers, profiles, fill_required=True)
        except DeployctlError:
            return False
    return True


def read_bundle(
    bundle: Bundle, project: Path, answers: Mapping[str, str], profiles: tuple[str, ...], *, fill_required: bool = False
) -> Release:
    """The release, read by the bundle's own Compose binary; its files are laid below `project`.

    `fill_required` stands in for answers that only a client can give, to look at a bundle without one.
    """
    extract_files(bundle, project)
    return load(
        project,
        compose_binary=compose_of(bundle),
        environment=answers,
        profiles=profiles,
        fill_required=fill_required,
        files=bundle.meta["compose_files"],
        version=bundle.version,
        name=bundle.name,
        exposed={ref: [Port(*port) for port in image.exposed] for ref, image in bundle.images.items()},  # type: ignore[arg-type]
    )


def compose_of(bundle: Bundle) -> Path:
    """The Compose binary of the bundle, unpacked once by its digest."""
    digest = bundle.tools["docker-compose"].digest
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "deployctl" / "tools"
    path = base / f"docker-compose-{digest.removeprefix('sha256:')[:16]}"
    if not path.exists():
        base.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.NamedTemporaryFile(dir=base, delete=False) as file, bundle.open(digest) as blob:
            while chunk := blob.read(1 << 20):
                file.write(chunk)
            os.fchmod(file.fileno(), 0o700)
        Path(file.name).replace(path)
    return path


def _contents(project: Path) -> dict[str, File]:
    """The project's files by relative name. They are configuration: small, and needed whole."""
    return {
        str(path.relative_to(project)): File(path.read_bytes(), mode=0o755 if os.access(path, os.X_OK) else 0o644)
        for path in sorted(project.rglob("*"))
        if path.is_file()
    }
