"""What holds software, for the bills of materials."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from deploybundle.sources.inventory import Software, debian_packages
from deploybundle.sources.packages import Closure


@dataclass(frozen=True)
class Part:
    """A part of a release that holds software. `kind`: container, platform (a host's packages) or application."""

    kind: str
    name: str
    version: str
    software: tuple[Software, ...]
    system: Mapping[str, str]


def package_part(closure: Closure) -> Part:
    """A target's packages as a part of the release."""
    system, _, version = closure.target.partition("-")
    software = [software for stanza in closure.stanzas for software in debian_packages(stanza)]
    return Part("platform", closure.target, "", tuple(software), {"ID": system, "VERSION_ID": version})
