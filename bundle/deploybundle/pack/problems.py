"""Why a bundle could not be made."""

from __future__ import annotations

from deploybundle.errors import InputError


class CannotBundle(InputError):
    """The input cannot become a bundle that a reader would accept."""

    code = "cannot-bundle"


class BuildRunning(InputError):
    """Another build writes the same file."""

    code = "build-running"


class ImageChanged(InputError):
    """An image is not what it was when the build began."""

    code = "image-changed"


class NoSpace(InputError):
    """The disk that takes the bundle is full."""

    code = "no-space"


class EarlierBundleDamaged(InputError):
    """An earlier bundle, from which blobs are copied, is not what it was when it was opened."""

    code = "earlier-bundle-damaged"
