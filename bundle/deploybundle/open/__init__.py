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
    ReceiptInvalid,
    StoreDamaged,
)
from deploybundle.open.reader import Head, open_bundle, peek
from deploybundle.open.receipt import Holds, Level, Receipt, Runs, is_receipt, read_receipt, write_receipt
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
    "Holds",
    "HostileName",
    "Image",
    "Layer",
    "Level",
    "NoBundle",
    "NotABundle",
    "PartDamaged",
    "PartMissing",
    "Progress",
    "Receipt",
    "ReceiptInvalid",
    "Runs",
    "StoreDamaged",
    "extract_files",
    "is_receipt",
    "open_bundle",
    "peek",
    "read_receipt",
    "verify_blobs",
    "write_receipt",
]
