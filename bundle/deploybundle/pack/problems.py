"""Why a bundle could not be made."""

from __future__ import annotations

from deploybundle.errors import InputError


class CannotBundle(InputError):
    """The input cannot become a bundle that a reader would accept.

    Change the file that is named: its name, its size or its rights are such that no reader would accept the bundle.
    """

    code = "cannot-bundle"


class BuildRunning(InputError):
    """Another build writes the same file.

    Wait for the other build, or write to another folder with `--out`.
    """

    code = "build-running"


class ImageChanged(InputError):
    """An image is not what it was when the build began.

    Somebody built or tagged the image meanwhile. Run `deployctl bundle` again.
    """

    code = "image-changed"


class NoSpace(InputError):
    """The disk that takes the bundle is full.

    Free the disk that is named, or write to another one with `--out`. No half bundle was left.
    """

    code = "no-space"


class EarlierBundleDamaged(InputError):
    """An earlier bundle, from which blobs are copied, is not what it was when it was opened.

    Move the earlier bundle away, since its bytes have changed, and run it again: the images are then exported from Docker.
    """

    code = "earlier-bundle-damaged"


class BaseNotHere(InputError):
    """A site's receipt names releases whose bundles this machine does not have.

    Put the bundle of a release that the site holds into the folder that is written to, or name it with `--since`; without
    any, send the whole release.
    """

    code = "base-not-here"
