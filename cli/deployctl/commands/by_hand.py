"""A plan as the commands that a person would type, in the order in which they are due. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from deployctl.desired import File
from deployctl.desired.network import MARK
from deployctl.desired.paths import project_folder, record_file
from deployctl.desired.readme import table
from deployctl.desired.system import UNIT
from deployctl.plan import HostPlan, Plan

Files = Mapping[str, Mapping[str, File]]
ELSEWHERE = (
    "# images: `# $` is for a machine that has Docker and the image and reaches the host; a deploy node needs no Docker."
    " From the bundle itself: docs/reference/bundle-format.md, `docker load`"
)
LOOK = "# the contents of files: ansible-playbook install.yml --check --diff; secrets are in no command"


def by_hand(plan: Plan, files: Files) -> Iterator[str]:
    """`host# command` for each step, all hosts' images before the first file, as an install does it.

    `files` are those that each host shall have; `# $` is for another machine than this one.
    """
    phases: list[Callable[[HostPlan], Iterator[str]]] = [
        _packages, _images, lambda host: _files(host, files.get(host.name, {})), _network,
        lambda host: _gone(host, plan.project),
        *(lambda host, wave=wave: _wave(host, wave, plan.project) for wave in range(plan.waves)),
        lambda host: _leave(host, plan.project), lambda host: _record(host, plan.project),
    ]  # fmt: skip
    yield LOOK
    if any(host.images for host in plan.changed.values()):
        yield ELSEWHERE
    for phase in phases:
        for host in plan.changed.values():
            yield from phase(host)


def _packages(host: HostPlan) -> Iterator[str]:
    if host.packages:
        yield f"{host.name}# apt-get install --no-install-recommends {' '.join(host.packages.names)}"


def _images(host: HostPlan) -> Iterator[str]:
    """As a person would from a machine that has the image; no tool else reads a bundle's layers for every engine."""
    for step in host.images:
        yield f"# $ docker save {step.ref} | ssh {host.name} sudo docker load"
        yield f"{host.name}# docker tag {step.ref} {step.tag}"


def _files(host: HostPlan, files: Mapping[str, File]) -> Iterator[str]:
    for path in host.write:
        yield f"{host.name}# {_written(path, files[path])}"
    for path in host.remove:
        yield f"{host.name}# rm {shlex.quote(path)}"


def _written(path: str, file: File) -> str:
    owner, quoted = f"-o {file.uid} -g {file.gid}", shlex.quote(path)
    if file.link is not None:
        return f"ln -sfn {shlex.quote(file.link)} {quoted}"
    if file.folder:
        return f"install -d -m {file.mode:o} {owner} {quoted}"
    return f"install -D -m {file.mode:o} {owner} {shlex.quote(Path(path).name)} {quoted}"


def _network(host: HostPlan) -> Iterator[str]:
    if host.network:
        unit = Path(UNIT).name
        yield f"{host.name}# systemctl daemon-reload && systemctl enable {unit} && systemctl restart {unit}"


def _gone(host: HostPlan, project: str) -> Iterator[str]:
    if not host.leave:
        yield from (f"{host.name}# {_removed(project, name)}" for name in host.stop)


def _removed(project: str, service: str) -> str:
    label = "--filter label=com.docker.compose"
    return f"docker rm -f $(docker ps -aq {label}.project={project} {label}.service={service})"


def _wave(host: HostPlan, wave: int, project: str) -> Iterator[str]:
    compose = f"{host.name}# cd {project_folder(project)} && docker compose"
    names = host.waves.get(wave, ())
    stop, anew = ([name for name in some if name in names] for some in (host.restart, host.anew))
    yield from (f"{compose} run --rm --no-deps {name}" for number, name in host.migrate if number == wave)
    anew = [name for name in host.anew if name in names]
    if anew:
        yield f"{compose} rm -sf {' '.join(anew)}"
    if stop:
        yield f"{compose} stop {' '.join(stop)}"
    if anew:
        yield f"{compose} rm --stop --force {' '.join(anew)}"
    if names:
        yield f"{compose} up -d --wait --no-deps --pull never {' '.join(names)}"


def _leave(host: HostPlan, project: str) -> Iterator[str]:
    leave = host.leave
    if leave is None:
        return
    compose = "docker compose --profile '*'"
    yield f"{host.name}# cd {project_folder(project)} && {compose} rm -fsv && {compose} down && cd /"
    if leave.images:
        yield f"{host.name}# docker image rm {' '.join(leave.images)}"
    if leave.delete:
        yield f"{host.name}# docker volume rm {' '.join(leave.delete)}"
    yield f"{host.name}# nft delete table inet {table(project)}"
    if leave.last:
        rule = f"iptables -D DOCKER-USER -m mark --mark {MARK}/{MARK} -j ACCEPT"
        yield f"{host.name}# systemctl disable --now {Path(UNIT).name} && {rule}"
    yield f"{host.name}# rm -r {' '.join(shlex.quote(path) for path in (*leave.files, *leave.strangers, *leave.shared))}"


def _record(host: HostPlan, project: str) -> Iterator[str]:
    if host.leave:
        yield f"{host.name}# rm {record_file(project)}"
    elif not host.recorded:
        yield f"# {host.name}: {record_file(project)} is deployctl's own note of what is installed"
