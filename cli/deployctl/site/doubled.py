"""Keys that stand twice in one mapping. YAML forbids them (1.2, 3.2.1.3); its readers let the last one win, silently."""

from __future__ import annotations

from collections.abc import Iterator

import yaml


def doubled(text: str | bytes) -> Iterator[tuple[int, str]]:
    """Line (from 1) and words for each key that stands again. A text that is no YAML has none."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, ValueError, RecursionError):
        return
    yield from _below(node, set()) if node is not None else ()


def _below(node: yaml.Node, seen: set[int]) -> Iterator[tuple[int, str]]:
    if id(node) in seen:  # an anchor may hold itself
        return
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for child in node.value:
            yield from _below(child, seen)
    elif isinstance(node, yaml.MappingNode):
        yield from _twice(node)
        for _, child in node.value:
            yield from _below(child, seen)


def _twice(node: yaml.MappingNode) -> Iterator[tuple[int, str]]:
    first: dict[str, int] = {}
    for key, _ in node.value:
        if isinstance(key, yaml.ScalarNode):
            line = key.start_mark.line + 1
            if key.value in first:
                yield line, f'"{key.value}" stands twice, first in line {first[key.value]}'
            first.setdefault(key.value, line)
