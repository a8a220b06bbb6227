"""A service's secrets as a folder whose version is swapped at once."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sites import release

from deployctl.desired.secret_files import SCRYPT, secret_files, secret_targets, secret_version
from deployctl.secrets import Secret

VALUES = st.dictionaries(st.sampled_from(["pw", "key", "tls"]), st.text(min_size=8, max_size=40), min_size=1)


def version(values: dict[str, str], salt: str = "acme/shop/api") -> str:
    return secret_version({name: Secret(value) for name, value in values.items()}, salt)


def test_a_version_is_slow_to_guess() -> None:
    assert SCRYPT["n"] * SCRYPT["r"] * 128 >= 16 * 2**20
    assert version({"pw": "correct horse"}) == "87d882bd4744"  # another would make every container again


@given(VALUES, VALUES)
def test_the_version_changes_with_the_values_and_the_place_and_shows_nothing(
    one: dict[str, str], other: dict[str, str]
) -> None:
    with pytest.MonkeyPatch.context() as quick:
        quick.setitem(SCRYPT, "n", 2)
        assert (version(one) == version(other)) == (one == other)
        assert version(one) == version(dict(reversed(one.items())))
        assert version(one) != version(one, "globex/shop/api")
        assert len(version(one)) == 12 and int(version(one), 16) >= 0
        assert not any(value in version(one) for value in one.values())


def api(*uses: Any, user: str = "10001") -> Any:
    return release({"api": {"user": user, "secrets": list(uses)}})


def test_the_folder_is_reached_by_links_that_one_swap_turns_to_the_next_version() -> None:
    values = {"pw": Secret("one"), "key": Secret("two")}
    of = api({"source": "pw", "target": "/run/secrets/password"}, {"source": "key"})
    files, name = secret_files(of, "api", values, "acme")
    root = files.pop("/var/lib/deployctl/shop/secrets")
    assert root.folder and (root.mode, root.uid) == (0o700, 0), "only root opens it"
    folder = "/var/lib/deployctl/shop/secrets/api"
    assert {path.removeprefix(folder): file.link or file.content.decode() for path, file in files.items()} == {
        "/..data": f"..{name}",
        f"/..{name}/password": "one", "/password": "..data/password",
        f"/..{name}/key": "two", "/key": "..data/key",
    }  # fmt: skip
    assert all(
        file.secret and (file.mode, file.uid, file.gid) == (0o400, 10001, 10001) for file in files.values() if not file.link
    )


def test_no_secrets_need_no_folder() -> None:
    assert secret_files(api(), "api", {}, "acme") == ({}, "")


def test_targets_may_have_another_name() -> None:
    assert secret_targets(api({"source": "pw", "target": "password"}, {"source": "key"}), "api") == {
        "password": "pw",
        "key": "key",
    }
