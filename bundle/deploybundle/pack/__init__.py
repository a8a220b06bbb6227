"""Makes bundles."""

from deploybundle.pack.build import Built, build
from deploybundle.pack.make import Toolbox, earlier, make, read_release
from deploybundle.pack.problems import BuildRunning, CannotBundle, EarlierBundleDamaged, ImageChanged, NoSpace

__all__ = [
    "BuildRunning",
    "Built",
    "CannotBundle",
    "EarlierBundleDamaged",
    "ImageChanged",
    "NoSpace",
    "Toolbox",
    "build",
    "earlier",
    "make",
    "read_release",
]
