"""Every error that deployctl can end with, by its code: what `explain` and the reference page are made of."""

from __future__ import annotations

import importlib
import pkgutil

import deploybundle
import deployctl
from deploybundle.errors import DeployctlError, below


def catalogue() -> dict[str, type[DeployctlError]]:
    """The classes by code, sorted. Two classes of one code are a bug that a test finds."""
    for package in (deploybundle, deployctl):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if ".data" not in module.name and not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    return {one.code: one for one in sorted(set(below()), key=lambda one: one.code)}
