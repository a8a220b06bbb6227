"""The names that a bundle's index uses, and the most that a reader accepts of each thing."""

from __future__ import annotations

SCHEMA = "1"

# OCI image specification 1.1: media types, annotations and the empty descriptor.
INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+zstd"
EMPTY = "application/vnd.oci.empty.v1+json"
EMPTY_BLOB = b"{}"
REF_NAME = "org.opencontainers.image.ref.name"
TITLE = "org.opencontainers.image.title"
LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'

# Ours.
RELEASE = "application/vnd.deployctl.release.v1+json"
FILE = "application/octet-stream"
FORMAT = "dev.deployctl.format"
HEAD = "dev.deployctl.head"
NAME = "dev.deployctl.release"
INSTALLER = "dev.deployctl.installer"
RAW_SIZE = "dev.deployctl.raw-size"
RAW_SIZES = "dev.deployctl.raw-sizes"
EXECUTABLE = "dev.deployctl.executable"

BLOBS = "blobs/sha256/"
MiB = 1 << 20

# The head: what stands before the blobs, in this order, with the most bytes of each.
HEAD_LIMITS = {
    "oci-layout": len(LAYOUT),
    "index.json": 4 * MiB,
    "deployctl/index.dsse.json": 64 << 10,
    "deployctl/index.sshsig": 16 << 10,
    "deployctl/vendor.pub": 4 << 10,
    "deployctl/padding": 8 * MiB,
}
JSON_LIMIT = 4 * MiB

# A delta: an empty file first, then large blobs; its small files last, in one zstd frame.
DELTA = "deployctl/delta"
SMALL = "deployctl/delta.{}.zst"  # the SHA-256 of the frame
SMALL_LIMIT = 64 * MiB
DELTA_LIMITS = {
    "index.json": 4 * MiB,
    "deployctl/index.dsse.json": 64 << 10,
    "deployctl/index.sshsig": 16 << 10,
    "deployctl/vendor.pub": 4 << 10,
    "deployctl/delta.json": 16 * MiB,
    "deployctl/delta.sshsig": 16 << 10,
}
BLOB_COUNT = 100_000


def kind_type(kind: str) -> str:
    """The artifact type of release, files, tools, wheels-3.x, packages-debian-x, sbom, docs or trust."""
    return f"application/vnd.deployctl.{kind}.v1"
