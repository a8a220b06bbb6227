"""A small bundle for every test, made as the vendor makes it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from vendors import Vendor, make_vendor


@pytest.fixture
def vendor(tmp_path: Path) -> Vendor:
    """A vendor who has built nothing yet."""
    return make_vendor(tmp_path)


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Vendor:
    """A vendor with a bundle, which nobody changes."""
    vendor = make_vendor(tmp_path_factory.mktemp("vendor"))
    vendor.build()
    return vendor


@pytest.fixture
def altered(built: Vendor, tmp_path: Path) -> Callable[[Callable[[bytearray], object]], Path]:
    """A copy of that bundle with its bytes changed by a function."""

    def make(change: Callable[[bytearray], object]) -> Path:
        data = bytearray((built.home / "dist/collector.bundle.tar").read_bytes())
        change(data)
        path = tmp_path / "altered.bundle.tar"
        path.write_bytes(data)
        return path

    return make
