"""Where images, wheels and tools come from."""

from .collections import COLLECTIONS, collections
from .compose_binary import ComposeNotFound, ComposeTooOld, compose_binary
from .containerd_images import ContainerdImages, docker_images
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
    Kept,
    Layer,
    LayerUnreadable,
)
from .installer import installer
from .inventory import Findings, LayerScan, Software
from .layout import Layout, LayoutInvalid, Layouts, read_layout
from .own import own_wheel
from .packages import Closure, Members, PackagesNotFetched, Pinned
from .part import Part, package_part
from .provenance import provenance
from .wheels import PYTHONS, WheelsNotFetched, pip_wheel, wheels

__all__ = [
    "CODENAMES",
    "COLLECTIONS",
    "PYTHONS",
    "Closure",
    "ComposeNotFound",
    "ComposeTooOld",
    "Config",
    "ContainerdImages",
    "DaemonUnreachable",
    "DockerImages",
    "ExportFailed",
    "Exported",
    "ImageInfo",
    "ImageMissing",
    "ImageSource",
    "Kept",
    "Layer",
    "LayerUnreadable",
    "Layout",
    "LayoutInvalid",
    "Layouts",
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
    "docker_images",
    "installer",
    "own_wheel",
    "package_part",
    "pip_wheel",
    "provenance",
    "read_layout",
    "repository",
    "wheels",
]
