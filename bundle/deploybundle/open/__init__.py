"""Reads and verifies a bundle: hostile bytes in, typed content out."""

from deploybundle.open.around import Around
from deploybundle.open.boms import NoBom, Software, bom, software
from deploybundle.open.bundle import Bundle
from deploybundle.open.delta import Delta, Patch, Since
from deploybundle.open.difference import Change, Difference, difference
from deploybundle.open.files import extract_files
from deploybundle.open.packages import INDEX, Package, Repository, repositories
from deploybundle.open.problems import (
    BaseMissing,
    BlobDamaged,
    BundleDamaged,
    BundleTooNew,
    BundleTruncated,
    FolderTaken,
    HostileName,
    LayerPending,
    NoBundle,
    NotABundle,
    PartDamaged,
    PartMissing,
)
from deploybundle.open.reader import Head, open_bundle, peek
from deploybundle.open.types import BlobAt, Descriptor, Image, Layer
from deploybundle.open.verify import Progress, verify_blobs

__all__ = [
    "Change",
    "Difference",
    "difference",
    "NoBom",
    "Software",
    "bom",
    "software",
    "INDEX",
    "Around",
    "BaseMissing",
    "Delta",
    "LayerPending",
    "Patch",
    "Since",
    "Package",
    "Repository",
    "repositories",
    "BlobAt",
    "BlobDamaged",
    "Bundle",
    "BundleDamaged",
    "BundleTooNew",
    "BundleTruncated",
    "Descriptor",
    "FolderTaken",
    "Head",
    "HostileName",
    "Image",
    "Layer",
    "NoBundle",
    "NotABundle",
    "PartDamaged",
    "PartMissing",
    "Progress",
    "extract_files",
    "open_bundle",
    "peek",
    "verify_blobs",
]
