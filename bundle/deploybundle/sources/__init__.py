"""Where images, wheels and tools come from."""

from .collections import COLLECTIONS, collections
from .compose_binary import ComposeNotFound, ComposeTooOld, compose_binary
from .debian import CODENAMES, debian, repository
from .docker_images import DockerImages
from .images import (
    Config,
    DaemonUnreachable,
    Exported,
    ExportFailed,
    ImageInfo,
    ImageMissing,
    ImageSource,
    Layer,
    LayerUnreadable,
)
from .installer import installer
from .inventory import Findings, LayerScan, Software
from .own import own_wheel
from .packages import Closure, Members, PackagesNotFetched, Pinned
from .provenance import provenance
from .sbom import Part, package_part
from .wheels import PYTHONS, WheelsNotFetched, pip_wheel, wheels

__all__ = [
    "CODENAMES",
    "COLLECTIONS",
    "PYTHONS",
    "Closure",
    "ComposeNotFound",
    "ComposeTooOld",
    "Config",
    "DaemonUnreachable",
    "DockerImages",
    "ExportFailed",
    "Exported",
    "ImageInfo",
    "ImageMissing",
    "ImageSource",
    "Layer",
    "LayerUnreadable",
    "Findings",
    "LayerScan",
    "Members",
    "PackagesNotFetched",
    "Part",
    "Pinned",
    "Software",
    "WheelsNotFetched",
    "collections",
    "compose_binary",
    "debian",
    "installer",
    "own_wheel",
    "package_part",
    "pip_wheel",
    "provenance",
    "repository",
    "wheels",
]
