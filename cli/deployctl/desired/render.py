"""Templates of a release: Jinja2, strict about undefined names, rendered for one host."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import jinja2
import jinja2.nodes
import jinja2.sandbox

from deploybundle.errors import InputError, did_you_mean
from deploybundle.release import Port, Release
from deployctl.desired.addresses import ServiceNet
from deployctl.desired.flows import host_port
from deployctl.desired.model import File
from deployctl.desired.placement import Placement
from deployctl.secrets import Secret
from deployctl.site import Host, Site

SUFFIX = ".j2"
_ENVIRONMENT = jinja2.sandbox.SandboxedEnvironment(
    undefined=jinja2.StrictUndefined, keep_trailing_newline=True, trim_blocks=True, lstrip_blocks=True, autoescape=False
)


class TemplateInvalid(InputError):
    """A template cannot be rendered for this site.

    The vendor mends the template; if it names a setting or a machine outside, give it in client.yml.
    """

    code = "template-invalid"


@dataclass(frozen=True)
class Endpoint:
    """Where a template's host reaches a service: on another host by its address, on its own by the service address."""

    host: str
    address: str
    port: int

    def __str__(self) -> str:
        return f"{self.address}:{self.port}"


class SiteView:
    """`site` in a template."""

    def __init__(self, release: Release, site: Site, placed: Placement, nets: Mapping[str, ServiceNet], at: Host) -> None:
        self.name, self.title = site.name, site.client.title
        self.__release, self.__site, self.__placed, self.__nets, self.__at = release, site, placed, nets, at

    def endpoints(self, service: str, port: int | None = None) -> list[Endpoint]:
        """Every host that runs the service, with the address and port by which this host's containers reach it."""
        target = port_of(self.__release, service, port)
        return [self.__endpoint(service, host, target) for host in self.__placed[service]]

    def __endpoint(self, service: str, host: Host, port: Port) -> Endpoint:
        if host == self.__at:
            return Endpoint(host.name, str(self.__nets[service].virtual), port.port)
        return Endpoint(host.name, host.address, host_port(self.__release, self.__site, service, port))


def port_of(release: Release, service: str, port: int | None) -> Port:
    """The port that a template means: as it says, or the service's first."""
    if service not in release.services:
        raise TemplateInvalid(f'no service "{service}"; {did_you_mean(service, release.services)}')
    known = release.services[service].ports
    if port is None and not known:
        raise TemplateInvalid(f'service "{service}" has no known port; say it: site.endpoints("{service}", 8000)')
    return known[0] if port is None else Port(port)


class SecretsView:
    """`secrets` in a template. A file that used one is a secret itself."""

    def __init__(self, secrets: Mapping[str, Secret]) -> None:
        self.__secrets, self._used = secrets, False

    def __getattr__(self, name: str) -> str:
        if name.startswith("_"):
            raise AttributeError(name)
        return self[name]

    def __getitem__(self, name: str) -> str:
        if name not in self.__secrets:
            raise TemplateInvalid(f'no secret "{name}"; {did_you_mean(name, self.__secrets)}')
        self._used = True
        return self.__secrets[name].reveal()


def template_names(names: Iterable[str], config_dir: str | None) -> list[str]:
    """Those of the release's files that are templates."""
    if config_dir is None:
        return []
    folder = config_dir.strip("/").removeprefix("./") + "/"
    return sorted(name for name in names if name.startswith(folder) and name.endswith(SUFFIX))


def client_view(site: Site) -> dict[str, str]:
    """`client` in a template: the client's answers, its name and its title."""
    return {**site.client.settings, "name": site.name, "title": site.client.title or site.name}


def asked_of_client(name: str, template: File) -> set[str]:
    """The settings that a template reads as `client.NAME`."""
    with _telling(name):
        tree = _ENVIRONMENT.parse(template.content.decode())
    nodes = tree.find_all(jinja2.nodes.Getattr)
    return {node.attr for node in nodes if isinstance(node.node, jinja2.nodes.Name) and node.node.name == "client"}


def render(name: str, template: File, context: Mapping[str, Any], secrets: Mapping[str, Secret]) -> File:
    """One template for one host.

    Raises TemplateInvalid, with the template's name and line.
    """
    view = SecretsView(secrets)
    with _telling(name):
        text = _ENVIRONMENT.from_string(template.content.decode()).render(**context, secrets=view)
    return File(text.encode(), mode=0o440 if view._used else template.mode, secret=view._used)


@contextmanager
def _telling(name: str) -> Iterator[None]:
    """Whatever a template can do wrong, as TemplateInvalid."""
    try:
        yield
    except TemplateInvalid as error:
        raise TemplateInvalid(error.message, place=_place(name, error)) from None
    except jinja2.TemplateSyntaxError as error:
        raise TemplateInvalid(str(error.message), place=f"{name}:{error.lineno}") from None
    except (jinja2.TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
        hint = "known: site, host, client, release, secrets"
        raise TemplateInvalid(str(error), place=_place(name, error), hint=hint) from None


def _place(name: str, error: BaseException) -> str:
    """The template's line, which Jinja2 puts into the traceback."""
    trace, line = error.__traceback__, 0
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "<template>":
            line = trace.tb_lineno
        trace = trace.tb_next
    return f"{name}:{line}" if line else name
