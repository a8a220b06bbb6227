"""Images from the Docker daemon of this machine, through Docker's own SDK."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, BinaryIO, cast

from deploybundle.release import Port

from .archive import read_archive
from .images import DaemonUnreachable, Exported, ExportFailed, ImageInfo, ImageMissing

try:
    import docker
    from docker.errors import DockerException, ImageNotFound
    from urllib3.exceptions import HTTPError
except ImportError:  # a deploy node makes no bundles, and has no SDK
    docker = None  # type: ignore[assignment]


class DockerImages:
    """Reads images; one export call for all, so that a shared layer crosses the socket once."""

    def __init__(self, client: Any = None) -> None:
        self._api = client or _connect()  # its stubs leave half of it untyped

    def inspect(self, refs: Sequence[str], *, used_by: Mapping[str, Sequence[str]] | None = None) -> list[ImageInfo]:
        """Facts of each image; raises ImageMissing with all that are not there."""
        found = {ref: self._inspect(ref) for ref in dict.fromkeys(refs)}
        missing = [ref for ref, info in found.items() if info is None]
        if missing:
            raise ImageMissing(missing, used_by or {})
        return [info for info in found.values() if info is not None]

    def export(self, refs: Sequence[str]) -> Iterator[Exported]:
        """All layers and configs of the images, in the engine's order."""
        url = f"{self._api.base_url}/v{self._api.api_version}/images/get"
        try:
            with self._api.get(url, params={"names": list(dict.fromkeys(refs))}, stream=True, timeout=None) as answer:
                if answer.status_code != 200:
                    raise ExportFailed(answer.text.strip(), place="Docker")
                yield from read_archive(cast(BinaryIO, _Raw(answer.raw)))
        except OSError as error:
            raise ExportFailed(str(error), place="Docker", hint="look at the daemon's log") from error

    def _inspect(self, ref: str) -> ImageInfo | None:
        try:
            return _info(ref, self._api.inspect_image(ref))
        except ImageNotFound:
            return None
        except (DockerException, OSError) as error:
            raise DaemonUnreachable(str(error), place="Docker") from error


class _Raw:
    """The answer's body; a connection that breaks is an OSError, as of any file."""

    def __init__(self, body: Any) -> None:
        self._body = body

    def read(self, size: int) -> bytes:
        try:
            return cast(bytes, self._body.read(size))
        except HTTPError as error:
            raise OSError(str(error)) from error


def _connect() -> Any:
    if docker is None:
        raise DaemonUnreachable("Docker's SDK is not installed", place="Docker", hint="pip install 'deployctl[vendor]'")
    try:
        return docker.from_env(version="auto", timeout=60).api
    except DockerException as error:
        reason = "permission denied on its socket" if "Permission" in str(error) else "the daemon does not answer"
        raise DaemonUnreachable(reason, place="Docker", hint="is it running, and may you use it? try `docker info`") from error


def _info(ref: str, image: Mapping[str, Any]) -> ImageInfo:
    exposed = (image.get("Config") or {}).get("ExposedPorts") or {}
    return ImageInfo(
        ref=ref,
        config_digest=image["Id"],
        diff_ids=tuple((image.get("RootFS") or {}).get("Layers") or ()),
        size=int(image["Size"]),
        exposed=tuple(sorted(map(_port, exposed))),
    )


def _port(text: str) -> Port:
    number, _, protocol = text.partition("/")
    return Port(int(number), "udp" if protocol == "udp" else "tcp")
