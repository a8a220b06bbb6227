"""A list of the bundles that a deploy node holds. The bundles stay where they are; only the list is ours."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from deploybundle.errors import InputError, did_you_mean
from deploybundle.open import Around, Bundle
from deploybundle.store.rebuild import rebuild
from deploybundle.whole import write_whole

SCHEMA = 1


class NotInStore(InputError):
    """The deploy node holds no such release.

    Name the bundle's file on the command line; it is remembered from then on.
    """

    code = "not-in-store"


class StoreTooNew(InputError):
    """A later deployctl wrote the list of bundles.

    Use the newer deployctl. Or move bundles.json away and name the bundle's file: the bundles themselves are where they were.
    """

    code = "store-too-new"


@dataclass(frozen=True)
class Held:
    """A bundle of the list: its file, its identity (`sha256:…` of the index) and its release."""

    path: str
    index_digest: str
    name: str
    version: str


@dataclass(frozen=True)
class Store:
    """The list, as `bundles.json` in `folder`; written whole or not at all."""

    folder: Path

    @property
    def _file(self) -> Path:
        return self.folder / "bundles.json"

    @property
    def layers(self) -> Path:
        """The folder of layers that were rebuilt from patches."""
        return self.folder / "layers"

    def admit(self, bundle: Bundle) -> Held:
        """Put a bundle on the list, last; one of the same index is replaced, so that a moved file is found again."""
        held = Held(str(bundle.path.resolve()), bundle.index_digest, bundle.name, bundle.version)
        with self._locked():
            self._write([*(other for other in self.list() if other.index_digest != held.index_digest), held])
        return held

    def drop(self, name: str) -> None:
        """Take a product's bundles off the list; the files stay."""
        with self._locked():
            self._write([held for held in self.list() if held.name != name])

    def list(self) -> list[Held]:
        """Every bundle that was admitted, oldest first, also those whose file is gone."""
        try:
            value = json.loads(self._file.read_bytes())
        except FileNotFoundError:
            return []
        if value["schema"] != SCHEMA:
            hint = "use the newer deployctl, or move the file away and name the bundle"
            raise StoreTooNew(f"expected schema {SCHEMA}, got {value['schema']}", place=str(self._file), hint=hint)
        return [Held(**entry) for entry in value["bundles"]]

    def around(self) -> Around:
        """What a delta may count on: the bundles of the list that are still there, those beside it, the rebuilt layers."""
        return Around(self._find, self.layers)

    def _find(self, index_digest: str) -> Path | None:
        paths = (Path(held.path) for held in self.list() if held.index_digest == index_digest)
        return next((path for path in paths if path.is_file()), None)

    def complete(self, bundle: Bundle) -> bool:
        """Rebuild the layers of a delta that are patches. Whether there were any: then open it again."""
        rebuild(bundle, self.layers)
        return bool(bundle.pending)

    def forget_missing(self) -> None:
        """Take from the list what lay in the store's own folder and was let go."""
        own = str(self.folder.resolve())
        with self._locked():
            self._write([held for held in self.list() if not held.path.startswith(own) or Path(held.path).exists()])

    def newest(self) -> Path:
        """The file of the bundle that was admitted last. NotInStore if there is none, or its file is gone."""
        held = self.list()
        if not held:
            raise NotInStore("holds no bundle yet", place=str(self.folder), hint="name the bundle's file")
        return self._there(held[-1])

    def find(self, name: str, version: str) -> Held:
        """The bundle of a release, the one admitted last. NotInStore if there is none, or its file is gone."""
        found = [held for held in self.list() if (held.name, held.version) == (name, version)]
        if not found:
            known = [f"{held.name} {held.version}" for held in self.list()]
            hint = did_you_mean(f"{name} {version}", known)
            raise NotInStore(f"holds no bundle of {name} {version}", place=str(self.folder), hint=hint)
        self._there(found[-1])
        return found[-1]

    def _there(self, held: Held) -> Path:
        if not Path(held.path).is_file():
            raise NotInStore("the bundle is not there any more", place=held.path, hint="bring it back, or name a copy")
        return Path(held.path)

    def _write(self, held: Sequence[Held]) -> None:
        data = json.dumps({"schema": SCHEMA, "bundles": [asdict(each) for each in held]}, indent=2)
        write_whole(self._file, f"{data}\n".encode())

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
