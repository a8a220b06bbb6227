"""Which service runs on which hosts: the release says a segment, the client may say otherwise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from deploybundle.errors import InputError, did_you_mean
from deploybundle.release import Release, Service
from deployctl.site import MANAGEMENT, Host, Site

Placement = Mapping[str, tuple[Host, ...]]


class NotPlaced(InputError):
    """A service has no host at this client.

    Say in client.yml where the service goes, e.g. `place: {postgres: internal}`; or add the segment to hosts.yml.
    """

    code = "service-not-placed"


def placement(release: Release, site: Site) -> Placement:
    """The hosts of each service, in the inventory's order.

    Raises NotPlaced, with every service that has no host.
    """
    problems: list[str] = list(_unknown_places(release, site))
    placed: dict[str, tuple[Host, ...]] = {}
    for service in release.services.values():
        try:
            placed[service.name] = _hosts_of(service, site)
        except NotPlaced as error:
            problems.append(str(error))
    if problems:
        raise NotPlaced("\n".join(problems), hint="say it in client.yml, e.g. place: {postgres: internal}")
    return placed


def client_file(site: Site) -> str:
    """Where the client's answers are written, for messages."""
    return str(site.folder / "group_vars" / "all" / "client.yml")


def _unknown_places(release: Release, site: Site) -> Iterator[str]:
    for name in site.client.place:
        if name not in release.services:
            yield f'{site.said_at("place", name)}: no service "{name}"; {did_you_mean(name, release.services)}'


def _hosts_of(service: Service, site: Site) -> tuple[Host, ...]:
    said = site.client.place.get(service.name)
    if said is not None:
        return _named(said, site, site.said_at("place", service.name))
    segment = service.spec.segment
    if segment in site.segments and segment != MANAGEMENT:
        return tuple(site.segments[segment])
    if len(site.targets) == 1:
        return tuple(site.targets)
    if segment is None:
        raise NotPlaced("it names no segment, and this client has several hosts", place=f"services.{service.name}")
    guess = did_you_mean(segment, _segments(site))
    raise NotPlaced(f'no host in segment "{segment}"; {guess}', place=f"services.{service.name}.x-deployctl.segment")


def _named(said: list[str], site: Site, place: str) -> tuple[Host, ...]:
    found: list[Host] = []
    for name in said:
        hosts = [site.hosts[name]] if name in site.hosts else site.segments.get(name, [])
        if not hosts:
            known = [*_segments(site), *(host.name for host in site.targets)]
            raise NotPlaced(f'neither a segment nor a host is called "{name}"; {did_you_mean(name, known)}', place=place)
        if any(host.segment == MANAGEMENT for host in hosts):
            raise NotPlaced("the management segment runs no service", place=place)
        found += [host for host in hosts if host not in found]
    return tuple(found)


def _segments(site: Site) -> list[str]:
    return [segment for segment in site.segments if segment != MANAGEMENT]
