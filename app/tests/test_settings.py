"""A wrong setting stops the start and is named."""

from pathlib import Path

import pytest

from collector.settings import SettingsError, load


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("DATABASE", "REDIS"):
        (tmp_path / name).write_text(f"secret of {name}\n")
        monkeypatch.setenv(f"COLLECTOR_{name}_PASSWORD_FILE", str(tmp_path / name))
    monkeypatch.setenv("COLLECTOR_CONFIG", str(tmp_path / "collector.toml"))
    return monkeypatch


def test_secrets_come_from_files_and_are_not_printed(environment: pytest.MonkeyPatch) -> None:
    settings = load()
    assert settings.database_url.password == "secret of DATABASE"
    assert settings.redis_password.get_secret_value() == "secret of REDIS"
    assert "secret of" not in f"{settings!r} {settings.database_url!r} {settings.redis_password!r}"


def test_the_environment_wins_over_the_file(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "collector.toml").write_text('database_host = "from-file"\nredis_host = "from-file"\n')
    environment.setenv("COLLECTOR_REDIS_HOST", "from-environment")
    settings = load()
    assert (settings.database_host, settings.redis_host) == ("from-file", "from-environment")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("COLLECTOR_DATABASE_PORT", "abc", r"setting database_port \(COLLECTOR_DATABASE_PORT\): .*got 'abc'"),
        ("COLLECTOR_LISTEN_PORT", "70000", "setting listen_port .*less than or equal to 65535"),
        ("COLLECTOR_LOG_LEVEL", "loud", "setting log_level"),
        ("COLLECTOR_REDIS_HOTS", "x", "COLLECTOR_REDIS_HOTS: unknown; did you mean COLLECTOR_REDIS_HOST?"),
        ("COLLECTOR_DATABASE_PASSWORD_FILE", "/nowhere", "setting database_password_file .*cannot read /nowhere"),
        ("COLLECTOR_REDIS_PASSWORD_FILE", "/dev/null", "setting redis_password_file .*/dev/null is empty"),
    ],
)
def test_a_wrong_variable_is_named(environment: pytest.MonkeyPatch, name: str, value: str, message: str) -> None:
    environment.setenv(name, value)
    with pytest.raises(SettingsError, match=message):
        load()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('database_hots = "x"', "setting database_hots .*did you mean database_host?"),
        ("max_rows = 0", "setting max_rows .*greater than or equal to 1"),
        ("broken", "COLLECTOR_CONFIG: cannot read the configuration file"),
    ],
)
def test_a_wrong_key_of_the_file_is_named(environment: pytest.MonkeyPatch, tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "collector.toml").write_text(content)
    with pytest.raises(SettingsError, match=message):
        load()
