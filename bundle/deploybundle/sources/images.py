"""Images without a registry: what a source of them answers. `DockerImages` is one; tests have another, in memory."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from deploybundle import oci
from deploybundle.errors import InputError
from deploybundle.release import Port


@dataclass(frozen=True)
class Kept:
    """An image that stays as others made it: its manifest's bytes, and its blobs, which `open` gives one by one, unchecked."""

    manifest: bytes
    media_type: str
    config: bytes
    layers: tuple[oci.Part, ...]
    open: Callable[[oci.Part], BinaryIO]
    place: str


@dataclass(frozen=True)
class ImageInfo:
    """An image as the engine knows it. An image is its config's digest with its diffIDs; `size` is the engine's own word.

    `kept`: it comes from an OCI layout; nobody exports it, its blobs are taken as they are.
    """

    ref: str
    config_digest: str
    diff_ids: tuple[str, ...]
    size: int
    exposed: tuple[Port, ...] = ()
    kept: Kept | None = None


@dataclass(frozen=True)
class Layer:
    """A layer's raw tar of `size` bytes; `diff_id` is what the source takes it for, where it knows before it is read: a
    layer that turns out to be another, or cannot be read, is offered again by another way.
    """

    stream: BinaryIO
    size: int
    diff_id: str | None = None


@dataclass(frozen=True)
class Config:
    """An image's config, which lists its diffIDs."""

    digest: str
    content: bytes


Exported = Layer | Config


class ImageSource(Protocol):
    """Where images come from."""

    def inspect(self, refs: Sequence[str], *, used_by: Mapping[str, Sequence[str]] | None = None) -> list[ImageInfo]:
        """Facts of each image; raises ImageMissing with all that are not there. `used_by`: image to its services."""

    def export(self, images: Sequence[ImageInfo], have: Collection[str]) -> Iterator[Exported]:
        """The layers and configs of the images, each layer once where the engine allows, in the engine's order.

        `have` are the diffIDs that are not wanted; the consumer adds what it took, while this goes on. A source gives more
        than is wanted where it cannot do otherwise. A layer's stream ends when the next part is asked for. Raises
        ExportFailed when the engine breaks off.
        """


class LayerUnreadable(InputError):
    """A layer cannot be read from the engine's own disk.

    Nothing: it is then asked for by the engine's API. This is told only to the one who exports.
    """

    code = "layer-unreadable"


class ImageMissing(InputError):
    """Images that compose.yaml names are not on this machine; `refs` are their names.

    Build the images (`docker compose build`), or `docker pull` or `docker load` them; then bundle again.
    """

    code = "image-missing"

    def __init__(self, refs: Sequence[str], used_by: Mapping[str, Sequence[str]]) -> None:
        self.refs = tuple(refs)
        lines = [f"{ref} (service {', '.join(used_by[ref])})" if used_by.get(ref) else ref for ref in refs]
        hint = "build them with `docker compose build`, or `docker pull` or `docker load` them first"
        super().__init__(f"no such image: {'; '.join(lines)}", place="Docker", hint=hint)


class DaemonUnreachable(InputError):
    """Docker's daemon on this machine does not answer.

    Start Docker, and try `docker info` as the same user.
    """

    code = "docker-unreachable"


class ExportFailed(InputError):
    """Docker broke off while it exported images.

    Look at Docker's own log and at its disk; then run it again.
    """

    code = "export-failed"
