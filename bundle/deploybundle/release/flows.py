"""Flows: read from x-deployctl, or derived from a plain file's ports and networks."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

from .model import ANY, Flow, Port
from .problems import Problem
from .raw import mapping
from .schema import TO, FlowSpec, Protocol

Known = Mapping[str, tuple[Port, ...]]


def declared(specs: Iterable[FlowSpec], known: Known, place: str) -> tuple[list[Flow], list[Problem]]:
    """One flow for each pair of a source and a target, and what is wrong with them. `known`: the services' ports."""
    flows: list[Flow] = []
    problems: list[Problem] = []
    for index, spec in enumerate(specs):
        where = f"{place}.flows[{index}]"
        pairs = list(_pairs(spec))
        flows += [flow for flow in pairs if flow not in flows]
        problems += _check(spec, pairs, known, where)
    return flows, problems


def _pairs(spec: FlowSpec) -> Iterator[Flow]:
    for source in spec.source:
        for target in spec.target:
            found = TO.fullmatch(target)
            if found:
                yield Flow(source, found["name"], int(found["port"]), cast(Protocol, found["protocol"] or "tcp"))


def _check(spec: FlowSpec, flows: Iterable[Flow], known: Known, where: str) -> Iterator[Problem]:
    for source in spec.source:
        yield from _misspelt(source, known, f"{where}.from")
    for name in dict.fromkeys(flow.target for flow in flows):
        yield from _misspelt(name, known, f"{where}.to")
    for flow in flows:
        if flow.source not in known and flow.target not in known:
            yield Problem(
                where, f'neither "{flow.source}" nor "{flow.target}" is a service', f"one end must be ours: {', '.join(known)}"
            )
        if Port(flow.port, flow.protocol) not in known.get(flow.target, ()) and known.get(flow.target):
            yield _wrong_port(flow, known[flow.target], f"{where}.to")


def _misspelt(name: str, services: Iterable[str], where: str) -> Iterator[Problem]:
    """A name that is no service stands for something outside, unless it is nearly one."""
    names = list(services)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.8)
    if name not in names and name != ANY and close:
        yield Problem(where, f'no service "{name}"', f'did you mean "{close[0]}"?')


def _wrong_port(flow: Flow, ports: Iterable[Port], where: str) -> Problem:
    listening = ", ".join(map(str, sorted(ports)))
    wanted = Port(flow.port, flow.protocol)
    hint = f'if it does listen there, say so: `expose: ["{wanted}"]`'
    return Problem(where, f'service "{flow.target}" listens on {listening}, not on {wanted}', hint)


def derived(services: Mapping[str, Mapping[str, Any]], known: Known, published: Known) -> list[Flow]:
    """A plain file's flows: anybody to each published port, and between services that share a Compose network."""
    inbound = [Flow(ANY, name, port.port, port.protocol) for name, ports in published.items() for port in ports]
    inner = [
        Flow(source, target, port.port, port.protocol)
        for source in services
        for target in services
        if source != target and _share_network(services[source], services[target])
        for port in known[target]
    ]
    return [*dict.fromkeys([*inbound, *inner])]


def _share_network(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return bool(mapping(one.get("networks")).keys() & mapping(other.get("networks")).keys())
