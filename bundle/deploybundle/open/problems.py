"""Why a bundle is refused."""

from __future__ import annotations

from deploybundle.errors import InputError, RefusedError

AGAIN = "copy the bundle again, or get it from the vendor again; nothing of it was used"
LOOK = "name a file that `deployctl bundle` wrote, or the list of its parts; is the medium mounted?"


class NoBundle(InputError):
    """There is no such file, or it cannot be read.

    Check the path, that the medium is mounted, and that you may read the file.
    """

    code = "bundle-missing"


class NotABundle(RefusedError):
    """The file is something else.

    Name a file that `deployctl bundle` wrote. If it should be one, copy it again: its first bytes are other ones.
    """

    code = "bundle-unknown"


class BundleTooNew(RefusedError):
    """The bundle's format is newer than this reader.

    Install the deployctl that this bundle carries (`install.py`, see docs/first-site.md), then go on with that one.
    """

    code = "bundle-too-new"


class BundleTruncated(RefusedError):
    """The file ends too early.

    Copy the bundle again and compare its size with the vendor's. Nothing of it was used.
    """

    code = "bundle-truncated"


class BundleDamaged(RefusedError):
    """The file is not in the one spelling that the format has.

    Copy the bundle again, or get it from the vendor again. Nothing of it was used. If a fresh copy says the same, ask
    the vendor to make it anew.
    """

    code = "bundle-damaged"


class BlobDamaged(BundleDamaged):
    """A blob is not the one that the index names.

    Copy the bundle again: the medium or the copy has changed bytes of it. Nothing of it was used.
    """

    code = "blob-damaged"


class BaseMissing(InputError):
    """A delta holds only what has changed since another bundle, and that bundle is not here.

    Bring the bundle that the message names, to the folder of the delta or to the store, or the whole release instead.
    """

    code = "base-missing"


class LayerPending(InputError):
    """A layer travels as a patch and was not rebuilt yet.

    `deployctl install` rebuilds it; what only looks at a bundle cannot read that layer.
    """

    code = "layer-pending"


class PartMissing(InputError):
    """Of a bundle in parts, some are not there yet, or not whole.

    Copy the parts that are named, and only those, to where the others are. The order does not matter.
    """

    code = "part-missing"


class PartDamaged(RefusedError):
    """Some parts of a bundle are not those that its list names.

    Copy the parts that are named again, and only those.
    """

    code = "part-damaged"


class HostileName(BundleDamaged):
    """A file's name would leave its folder, or cannot be a name.

    Do not use this bundle. Ask the vendor by another way whether he made it; a copy that went wrong does not do this.
    """

    code = "hostile-name"


class FolderTaken(InputError):
    """Files would be written over others.

    Name a folder that is empty or does not exist.
    """

    code = "folder-taken"


class ReceiptInvalid(InputError):
    """A receipt cannot be read, or was changed on its way from the site.

    Let the site write it again with `deployctl receipt`, and carry the file unchanged.
    """

    code = "receipt-invalid"


class StoreDamaged(RefusedError):
    """A deploy node's store lacks something, or holds something else than it wrote.

    Take the bundle in again with `deployctl import`; what is whole there is not copied again.
    """

    code = "store-damaged"
