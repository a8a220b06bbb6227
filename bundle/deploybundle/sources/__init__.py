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
from .own import own_wheel
from .packages import Closure, Members, PackagesNotFetched, Pinned
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
    "Members",
    "PackagesNotFetched",
    "Pinned",
    "WheelsNotFetched",
    "collections",
    "compose_binary",
    "debian",
    "installer",
    "own_wheel",
    "pip_wheel",
    "repository",
    "wheels",
]
