"""One vendor's bundle does not take the place of another's product, unless somebody says that it is meant."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from deploybundle.trust import KeySet, PublicKey, Trust, Vendor, VendorKey, generate
from deployctl.apply.vendor import OtherVendor, refuse_other, signer


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> list[PublicKey]:
    folder: Path = tmp_path_factory.mktemp("keys")
    return [generate(folder / name, None) for name in ("a", "a-next", "b", "nobody")]


@pytest.fixture
def trust(keys: list[PublicKey]) -> Trust:
    """Vendor a has two keys, vendor b one."""
    own, following, other, _ = (VendorKey(key) for key in keys)
    return Trust((Vendor("a", KeySet(1, (own, following))), Vendor("b", KeySet(1, (other,)))))


def bundle(key: PublicKey, index: str = "sha256:new") -> Any:
    return type("Bundle", (), {"signed_by": key, "name": "shop", "index_digest": index})()


def facts(key: PublicKey, trust: Trust) -> dict[str, Any]:
    return {"db1": {"record": {"signer": signer(bundle(key), trust), "admitted": ["sha256:old"]}}, "web1": {"record": None}}


def test_another_vendors_bundle_is_refused_where_the_product_is(keys: list[PublicKey], trust: Trust) -> None:
    with pytest.raises(OtherVendor, match=r"db1: shop is here by a \(SHA256:.*this bundle is by b \(SHA") as caught:
        refuse_other(bundle(keys[2]), facts(keys[0], trust), trust)
    assert "--other-vendor" in caught.value.hint


def test_what_is_the_same_vendors_or_was_here_before_or_is_nobodys_passes(keys: list[PublicKey], trust: Trust) -> None:
    there = facts(keys[0], trust)
    refuse_other(bundle(keys[0]), there, trust)
    refuse_other(bundle(keys[1]), there, trust)
    refuse_other(bundle(keys[2], "sha256:old"), there, trust)
    refuse_other(bundle(keys[3]), there, trust)
    refuse_other(bundle(keys[2]), {"db1": {"record": {"release": {"version": "1.0.0"}}}}, trust)
