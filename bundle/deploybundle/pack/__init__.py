"""Makes bundles."""

from deploybundle.pack.build import Built, build
from deploybundle.pack.problems import BuildRunning, CannotBundle, EarlierBundleDamaged, ImageChanged, NoSpace

__all__ = ["BuildRunning", "Built", "CannotBundle", "EarlierBundleDamaged", "ImageChanged", "NoSpace", "build"]
