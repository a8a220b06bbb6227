"""Why a bundle is refused."""

from __future__ import annotations

from deploybundle.errors import InputError, RefusedError

AGAIN = "copy the bundle again, or get it from the vendor again; nothing of it was used"


class NoBundle(InputError):
    """There is no such file, or it cannot be read."""

    code = "bundle-missing"


class NotABundle(RefusedError):
    """The file is something else."""

    code = "bundle-unknown"


class BundleTooNew(RefusedError):
    """The bundle's format is newer than this reader."""

    code = "bundle-too-new"


class BundleTruncated(RefusedError):
    """The file ends too early."""

    code = "bundle-truncated"


class BundleDamaged(RefusedError):
    """The file is not in the one spelling that the format has."""

    code = "bundle-damaged"


class BlobDamaged(BundleDamaged):
    """A blob is not the one that the index names."""

    code = "blob-damaged"


class HostileName(BundleDamaged):
    """A file's name would leave its folder, or cannot be a name."""

    code = "hostile-name"


class FolderTaken(InputError):
    """Files would be written over others."""

    code = "folder-taken"
