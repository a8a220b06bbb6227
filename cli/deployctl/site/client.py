"""client.yml: what the client answers. Typed here, once; unknown keys are refused with the nearest known one."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from deploybundle.errors import InputError, did_you_mean, gathered
from deployctl.site.doubled import doubled
from deployctl.site.words import SIZE, words


def _as_text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int | float | datetime.date):
        return str(value)
    raise ValueError("expected text, a number or true/false")


Scalar = Annotated[str, BeforeValidator(_as_text)]
Names = Annotated[list[str], BeforeValidator(lambda value: [value] if isinstance(value, str) else value)]
KEYS = "docs/reference/client.md has all keys"
PortNumber = Annotated[int, Field(ge=1, le=65535)]


class ClientInvalid(InputError):
    """client.yml says something that cannot be meant.

    Mend each line that is listed; docs/reference/client.md has all keys.
    """

    code = "client-invalid"


class Strict(BaseModel):
    """A part of client.yml."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Segment(Strict):
    """A network zone of the site."""

    cidr: IPv4Network = Field(examples=["10.77.10.0/24"])


class Network(Strict):
    """A network outside the site that may reach a service."""

    cidr: list[IPv4Network] = Field(min_length=1, examples=[["10.77.50.0/24"]])


class External(Strict):
    """A machine outside the site that a service may reach, by this name."""

    address: IPv4Address = Field(examples=["10.77.60.5"])


class Resources(Strict):
    """Limits of one service's container, in the units of the Compose file."""

    memory: str | None = Field(None, pattern=SIZE, examples=["512m"])
    cpus: float | None = Field(None, gt=0, examples=[1.5])


class SecretsBackend(Strict):
    """Where the secrets lie."""

    backend: Literal["ansible-vault"] = "ansible-vault"


class Answers(Strict):
    """What client.yml may say for one product of several, below `products`; it goes before what is said for all."""

    place: dict[str, Names] = Field(
        default_factory=dict,
        description="Where a service goes, if not where the release says: a segment, a host, or a list of hosts.",
        examples=[{"postgres": "internal"}],
    )
    networks: dict[str, Network] = Field(
        default_factory=dict,
        description="Networks outside the site, by the names that the release's flows use.",
        examples=[{"clients": {"cidr": ["10.77.50.0/24"]}}],
    )
    externals: dict[str, External] = Field(
        default_factory=dict,
        description="Machines outside the site, by the names that the release's flows use.",
        examples=[{"crm": {"address": "10.77.60.5"}}],
    )
    settings: dict[str, Scalar] = Field(
        default_factory=dict,
        description="Answers to the product's settings, the ${NAME} of its Compose file.",
        examples=[{"LOG_LEVEL": "info"}],
    )
    profiles: list[str] = Field(default_factory=list, description="Compose profiles that this client runs.")
    ports: dict[str, dict[PortNumber, PortNumber]] = Field(
        default_factory=dict,
        description="Another port at the host for a service's port.",
        examples=[{"nginx": {8443: 443}}],
    )
    resources: dict[str, Resources] = Field(default_factory=dict, description="Limits by service.")
    pool: IPv4Network | None = Field(
        None, description="Addresses for this product's containers: a /20 or larger.", examples=["172.29.0.0/20"]
    )


class ClientSettings(Answers):
    """Everything that client.yml may say. All of it is optional."""

    title: str = Field("", description="The client's name for people.", examples=["Acme Bank"])
    segments: dict[str, Segment] = Field(
        default_factory=dict, description="The network of a segment, where it is not the /24 around its hosts."
    )
    pool: IPv4Network = Field(
        IPv4Network("172.30.0.0/16"),
        description=(
            "Addresses for containers, on every host. Each product takes one /20 of it that nobody uses at the site,"
            " and keeps it. At least a /20."
        ),
    )
    secrets: SecretsBackend = Field(default_factory=SecretsBackend, description="Where the secrets lie.")
    products: dict[str, Answers] = Field(
        default_factory=dict,
        description="Answers for one product, where the site has several: the same keys, and they go before those for all.",
        examples=[{"statuspage": {"ports": {"page": {8080: 8081}}, "settings": {"LOG_LEVEL": "debug"}}}],
    )

    def of(self, product: str) -> ClientSettings:
        """What holds for one product: its own answers before those for all."""
        own = self.products.get(product)
        if own is None:
            return self
        said = {name: getattr(own, name) for name in own.model_fields_set}
        merged = {name: {**getattr(self, name), **value} if isinstance(value, dict) else value for name, value in said.items()}
        return self.model_copy(update={name: value for name, value in merged.items() if value is not None})


def read_client(path: Path) -> ClientSettings:
    """Read client.yml; a missing file means that the client answers nothing.

    Raises ClientInvalid, with every problem of the file.
    """
    if not path.exists():
        return ClientSettings()
    text = path.read_bytes()
    try:
        content = yaml.safe_load(text) or {}
        tree = yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: a date that there is not
        raise ClientInvalid(f"is not YAML: {_oneline(error)}", place=str(path)) from error
    twice = [ClientInvalid(said, place=f"{path}:{line}", hint="leave one of them out") for line, said in doubled(text)]
    if twice:
        raise gathered(twice)
    if not isinstance(content, dict):
        raise ClientInvalid("expected keys and values at the top", place=str(path))
    try:
        settings = ClientSettings.model_validate(content)
    except ValidationError as error:
        raise gathered([*_problems(error, path, tree)]) from None
    return _with_big_pool(settings, path)


def _with_big_pool(settings: ClientSettings, path: Path) -> ClientSettings:
    for key, said in {"": settings, **{f"products.{name}.": part for name, part in settings.products.items()}}.items():
        if said.pool is not None and said.pool.prefixlen > 20:
            raise ClientInvalid(f"{key}pool: {said.pool} is too small; expected a /20 or larger", place=str(path))
    return settings


def _problems(error: ValidationError, path: Path, tree: yaml.Node | None) -> Iterator[ClientInvalid]:
    for problem in error.errors():
        keys = [key for key in problem["loc"] if not (isinstance(key, str) and key.endswith("]"))]
        place = f"{path}:{_line(tree, keys)}: {_dotted(keys)}"
        if problem["type"] == "extra_forbidden":
            yield ClientInvalid("unknown key", place=place, hint=did_you_mean(str(keys[-1]), _known(keys[:-1])))
        elif problem["type"] == "missing":
            yield ClientInvalid("missing", place=place, hint=KEYS)
        else:
            yield ClientInvalid(words(problem), place=place, hint=KEYS)


def _known(keys: list[Any]) -> list[str]:
    """The keys that the model at this path knows."""
    parts: dict[str, type[BaseModel]] = {
        "segments": Segment, "networks": Network, "externals": External, "resources": Resources, "secrets": SecretsBackend,
    }  # fmt: skip
    if len(keys) > 1 and keys[0] == "products":
        return list(parts.get(str(keys[2]), Answers).model_fields if len(keys) > 2 else Answers.model_fields)
    return list(parts.get(str(keys[0]), ClientSettings).model_fields if keys else ClientSettings.model_fields)


def _dotted(keys: list[Any]) -> str:
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys).lstrip(".")


def _line(node: yaml.Node | None, keys: list[Any]) -> int:
    """The line (from 1) where a path of keys stands; of its nearest parent where it is missing."""
    line = node.start_mark.line + 1 if node else 1
    if node and keys:
        for name, child, mark in _children(node):
            if name == str(keys[0]):
                return max(mark, _line(child, keys[1:])) if keys[1:] else mark
    return line


def _children(node: yaml.Node) -> Iterator[tuple[str, yaml.Node, int]]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield str(key.value), value, key.start_mark.line + 1
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            yield str(number), value, value.start_mark.line + 1


def _oneline(error: object) -> str:
    return " ".join(str(error).split())
