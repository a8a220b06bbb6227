"""A changed layer onto a host that has the image before: `docker save | ssh docker load` against what an install does."""

from __future__ import annotations

import importlib.util
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from deploybundle.open import Bundle, Image, open_bundle
from deployctl.hosts.ssh import ssh_command
from deployctl.site import Host
from places import ROOT, Place, Vendor

COUNT = Path(__file__).with_name("count.py")
LIBRARY = Path(sys.modules["os"].__file__ or "").parent
SIZES = {"source": 1_200_000, "dependencies": 30_000_000}
"""Bytes of Python source in the layer of the application, and in the one below it with what it needs."""
DOCKERFILE = "FROM collector/app:1.0.0\nCOPY dependencies /bench/dependencies\nCOPY source /bench/source\n"
COMPOSE = "name: layered\nservices:\n  app: {image: 'IMAGE'}\n"
LOAD = "sudo docker load -q"


@dataclass(frozen=True)
class Sent:
    """What one way took: seconds, and bytes on the wire both ways together."""

    seconds: float
    bytes: int


@dataclass(frozen=True)
class Case:
    """One change: the size of the layers that changed in the bundle's encoding and raw, and what each way took."""

    what: str
    layers: dict[str, int]
    ways: dict[str, Sent]


class Wire:
    """The way to a host of the rehearsal over its real sshd, with a count of what passes."""

    def __init__(self, place: Place, name: str, folder: Path) -> None:
        state, self.counter = place.site.state / "rehearsal", folder / "count"
        key = (state / "machines" / name / "ssh_host_ed25519_key.pub").read_text()
        self.known_hosts = folder / "known_hosts"
        self.known_hosts.write_text(f"{place.site.hosts[name].address} {key}")
        proxy = f"{sys.executable} {COUNT} {self.counter} docker exec -i rh-{place.client}-{name} /usr/sbin/sshd -i"
        self.host = Host(name, place.site.hosts[name].address, "", {
            "ansible_user": "ops", "ansible_ssh_private_key_file": str(state / "id_ed25519"),
            "ansible_ssh_common_args": f"-o 'ProxyCommand={proxy}'",
        })  # fmt: skip

    def command(self, *argv: str) -> list[str]:
        """The argv that runs a command on the host."""
        return ssh_command(self.host, self.known_hosts, *argv)

    def measured(self, work: Callable[[], object]) -> Sent:
        """Do it over a connection that stands, and count."""
        subprocess.run(self.command("true"), check=True)
        before, began = self._count(), time.monotonic()
        work()
        return Sent(time.monotonic() - began, self._count() - before)

    def _count(self) -> int:
        return sum(struct.unpack("<2Q", self.counter.read_bytes()[:16]))


def cases(place: Place, vendor: Vendor, folder: Path) -> Iterator[Case]:
    """The two changes: the application's own source, and what it depends on (which takes the source's layer along)."""
    wire, plugin = Wire(place, "app1", folder), _plugin()
    with _images(folder):
        for what, tag in (("application layer", "layered/app:2"), ("dependencies", "layered/app:3")):
            print(f"install: sending {what}", file=sys.stderr, flush=True)
            bundle = _bundle(vendor, folder, tag)
            image = bundle.images[tag]
            missing = [number for number, layer in enumerate(image.layers) if layer.diff_id not in _layers("layered/app:1")]
            layers = {
                "zstd": sum(image.layers[number].blob.size for number in missing),
                "raw": sum(image.layers[number].raw_size for number in missing),
            }
            yield Case(what, layers, dict(_ways(wire, plugin, place, bundle, image, missing)))


def _ways(
    wire: Wire, plugin: ModuleType, place: Place, bundle: Bundle, image: Image, missing: list[int]
) -> Iterator[tuple[str, Sent]]:
    plain = {
        "`docker save` piped to `ssh … docker load`": "",
        "`docker save` through `zstd -3` to `ssh … docker load`": "| zstd -3 -q",
    }
    for name, pack in plain.items():
        with _before(place, image.ref):
            script = f'set -o pipefail; docker save {image.ref} {pack} | "$@"'
            argv = ["bash", "-c", script, "bash", *wire.command("sh", "-c", LOAD)]
            yield name, wire.measured(lambda argv=argv: subprocess.run(argv, check=True, capture_output=True))  # type: ignore[misc]
    for encoding in ("raw", "zstd"):
        tag = f"layered/sent:{encoding}"
        item = {"ref": image.ref, "tag": tag, "config": image.config_digest, "missing": missing}
        command = wire.command("sh", "-c", plugin.LOAD, plugin.LOAD, tag)
        with _before(place, tag):
            load = lambda item=item, how=encoding, argv=command: plugin.load(bundle, item, how, "app1", argv)  # noqa: E731
            yield f"deployctl, {encoding}", wire.measured(load)


@contextmanager
def _before(place: Place, tag: str) -> Iterator[None]:
    """The host has the image before, and not this one; and again not afterwards."""
    there = place.on("app1", "docker image inspect -f '{{.Id}}' layered/app:1", check=False).returncode == 0
    if not there:
        subprocess.run(
            ["bash", "-c", f"docker save layered/app:1 | docker exec -i rh-{place.client}-app1 docker load -q"],
            check=True, capture_output=True,
        )  # fmt: skip
    yield
    place.on("app1", f"docker image rm {tag}")


@contextmanager
def _images(folder: Path) -> Iterator[None]:
    """Three releases: the first, one with three files of the source changed, one with a file of the dependencies changed."""
    context = folder / "context"
    for part, size in SIZES.items():
        _fill(context / part, size)
    (context / "Dockerfile").write_text(DOCKERFILE)
    changes = {"1": [], "2": ["source"] * 3, "3": ["dependencies"]}
    try:
        for number, parts in changes.items():
            for which, part in enumerate(parts):
                path = sorted((context / part).iterdir())[which]
                path.write_text(path.read_text() + f"\n# release {number}\n")
            subprocess.run(["docker", "build", "-q", "-t", f"layered/app:{number}", context], check=True, capture_output=True)
        yield
    finally:
        subprocess.run(
            ["docker", "image", "rm", *(f"layered/app:{number}" for number in changes)], check=False, capture_output=True
        )


def _fill(folder: Path, size: int) -> None:
    """Real Python source of about this many bytes: the standard library's, again under other names when it ends."""
    folder.mkdir(parents=True)
    files, done, turn = sorted(LIBRARY.rglob("*.py")), 0, 0
    while done < size:
        path = files[turn % len(files)]
        if turn < len(files) or path.stat().st_size < 200_000:
            shutil.copyfile(path, folder / f"{turn:05}.py")
            done += path.stat().st_size
        turn += 1


def _layers(tag: str) -> list[str]:
    form = '{{join .RootFS.Layers " "}}'
    return subprocess.run(
        ["docker", "image", "inspect", "-f", form, tag], capture_output=True, text=True, check=True
    ).stdout.split()


def _bundle(vendor: Vendor, folder: Path, tag: str) -> Bundle:
    project = folder / tag.replace("/", "-").replace(":", "-")
    project.mkdir()
    (project / "compose.yaml").write_text(COMPOSE.replace("IMAGE", tag))
    version = tag[-1] + ".0.0"
    vendor.run("bundle", str(project), "--version", version, "--out", str(project))
    return open_bundle(project / f"layered-{version}.bundle.tar", None)


def _plugin() -> ModuleType:
    """The action plugin of the role `images`: the very code that an install runs."""
    path = ROOT / "roles" / "images" / "action_plugins" / "images_load.py"
    spec = importlib.util.spec_from_file_location("images_load", path)
    assert spec is not None and spec.loader is not None  # noqa: S101, PT018 - the file is there
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
