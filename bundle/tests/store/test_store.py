"""What the deploy node holds."""

from __future__ import annotations

from pathlib import Path

import pytest
from vendors import Vendor

from deploybundle.store import NotInStore, Store


def test_an_admitted_bundle_is_found_where_it_lies(vendor: Vendor, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    assert store.list() == []
    built = vendor.build()
    held = store.admit(vendor.open())
    assert (held.path, held.index_digest) == (str(built.path), built.index_digest)
    assert store.find("collector", "1.0.0") == held
    assert store.admit(vendor.open()) == held
    assert store.list() == [held]


def test_what_is_not_held_is_said_with_what_is(vendor: Vendor, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    path = vendor.build().path
    store.admit(vendor.open())
    with pytest.raises(NotInStore, match="no bundle of collector 1.0.1") as caught:
        store.find("collector", "1.0.1")
    assert "collector 1.0.0" in caught.value.hint
    path.unlink()
    with pytest.raises(NotInStore, match="not there any more"):
        store.find("collector", "1.0.0")
