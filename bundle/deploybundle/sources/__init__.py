"""Where images, wheels and tools come from."""

from .collections import COLLECTIONS, collections
from .compose_binary import ComposeNotFound, ComposeTooOld, compose_binary
from .docker_images import DockerImages
from .images import Config, DaemonUnreachable, Exported, ExportFailed, ImageInfo, ImageMissing, ImageSource, Layer
from .installer import installer
from .own import own_wheel
from .wheels import PYTHONS, WheelsNotFetched, pip_wheel, wheels

__all__ = [
    "COLLECTIONS", "PYTHONS", "ComposeNotFound", "ComposeTooOld", "Config", "DaemonUnreachable", "DockerImages",
    "ExportFailed", "Exported", "ImageInfo", "ImageMissing", "ImageSource", "Layer", "WheelsNotFetched", "collections",
    "compose_binary", "installer", "own_wheel", "pip_wheel", "wheels",
]  # fmt: skip
