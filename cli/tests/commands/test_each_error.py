"""Errors that a person brings about on this machine, each by its code; those of hosts and bundles have tests of their own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from said import Deployctl

from deploybundle.release import ComposeRefused, ProfileUnknown, load
from deploybundle.sources import compose_binary
from deploybundle.store import Store
from deploybundle.store.store import StoreTooNew
from deployctl.__main__ import run
from deployctl.apply.install import SiteMoved, _unmoved
from deployctl.apply.journal import Journal, JournalUnusable
from deployctl.apply.prepare import SettingRefused, read_at_site
from deployctl.commands.ends import DiskFull, FileUnusable, Unexpected, ending
from deployctl.commands.options import PasswordsDiffer, site_of, vault_of
from deployctl.hosts.errors import SiteLocked, agent_error
from deployctl.rehearsal.docker import DockerFailed, DockerMissing, program
from deployctl.rehearsal.docker import run as docker
from deployctl.rehearsal.state import RehearsalBusy, changing
from deployctl.secrets import Secret


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["client", "new", "A B"], "client-name"),
        (["render", "--client", "acme"], "only-laptop"),
        (["keygen"], "passphrase-missing"),
        (["keygen", "--passphrase-file", "empty"], "passphrase-missing"),
        (["trust", "add", "--yes", "private"], "key"),
        (["trust", "add", "public"], "not-confirmed"),
        (["keyset", "show"], "no-key-set"),
        (["rehearse", "shell", "--client", "nobody", "web1"], "rehearsal-not-up"),
        (["status", "--client", "here"], "nothing-installed"),
        (["files", "--client", "here", "--host", "b"], "no-such-host"),
        (["bundle", "--split", "4 fish", "--key", "made/key"], "part-size-invalid"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_it_is_called_by_its_code(words: list[str], code: str, deployctl: Deployctl, home: Path) -> None:
    (home / "empty").write_text("\n")
    assert deployctl("keygen", "--no-passphrase", "--key", "made/key").code == 0
    shutil.copy(home / "made/key", home / "private")
    shutil.copy(home / "made/key.pub", home / "public")
    here = home / "inventories/here"
    here.mkdir(parents=True)
    (here / "hosts.yml").write_text("one: {hosts: {a: {ansible_host: 127.0.0.1, ansible_connection: local}}}")
    if code == "rehearsal-not-up" and not shutil.which("docker"):
        pytest.skip("no Docker here")
    if code == "nothing-installed" and os.path.exists("/etc/deployctl"):
        pytest.skip("this machine is a host of somebody's")
    said = deployctl(*words, "--json") if words[-1] == "here" else deployctl(*words)
    assert f"[{code}]" in said.err


def test_the_password_of_a_new_vault_is_typed_twice_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    typed = iter(("one", "other", "one", "one", "one"))
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("getpass.getpass", lambda words: asked.append(words) or next(typed))
    where: Any = type("Site", (), {"folder": tmp_path})()
    assert vault_of(where, None).read("shop") == {} and not asked
    with pytest.raises(PasswordsDiffer):
        vault_of(where, None, new=True)
    assert f"{tmp_path}/group_vars/all/vault.yml will be made" in asked[0]
    vault_of(where, None, new=True).add("shop", {"pw": Secret("x")})
    assert vault_of(where, None, new=True).read("shop")["pw"].reveal() == "x"
    assert asked[4:] == ["Vault password: "]


def test_ctrl_c_while_the_program_loads_is_a_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    class Loading:
        def __getattr__(self, name: str) -> None:
            raise KeyboardInterrupt

    monkeypatch.setitem(sys.modules, "deployctl.commands.main", Loading())
    with pytest.raises(SystemExit) as ended:
        run()
    assert (ended.value.code, capsys.readouterr().err.count("\n")) == (130, 1)


def test_the_command_that_makes_missing_secrets_is_told_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for folder, words in (("inventories", ""), ("my sites", f"--inventories '{tmp_path}/my sites' ")):
        (tmp_path / folder / "acme").mkdir(parents=True)
        hosts = "one: {hosts: {a: {ansible_host: 127.0.0.1, ansible_connection: local}}}"
        (tmp_path / folder / "acme/hosts.yml").write_text(hosts)
        told = site_of("acme", Path(folder)).command("secrets generate", "a b.tar")
        assert told == f"deployctl secrets generate --client acme {words}'a b.tar'"


def test_a_profile_that_no_service_has_is_named_with_the_nearest(tmp_path: Path) -> None:
    services = "{web: {image: 'w:1'}, tool: {image: 'w:1', profiles: [debug]}}"
    (tmp_path / "compose.yaml").write_text(f"name: a\nservices: {services}\n")
    with pytest.raises(ProfileUnknown) as caught:
        load(tmp_path, compose_binary=compose_binary(), version="1.0.0", profiles=("debgu",))
    assert caught.value.hint == 'did you mean "debug"?'


def test_an_answer_that_the_release_cannot_take_is_placed_in_client_yml(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(bundle: object, project: object, answers: dict[str, str], profiles: object, **more: object) -> str:
        if answers.get("PORT") == "high":
            raise ComposeRefused("invalid port: high", place="compose.yaml")
        return "a release"

    monkeypatch.setattr(sys.modules["deployctl.apply.prepare"], "read_bundle", read)  # apply.prepare is the function, too
    settings = {"TZ": "UTC", "PORT": "high"}
    client = type("Client", (), {"settings": settings, "profiles": []})
    where: Any = type("Site", (), {"folder": Path("/acme"), "client": client, "of": lambda self, name: self})()
    bundle: Any = type("Bundle", (), {"name": "shop"})
    with pytest.raises(SettingRefused, match="client.yml: settings.PORT: compose.yaml: invalid port: high"):
        read_at_site(bundle, where, Path("/x"))
    settings["PORT"] = "443"
    assert str(read_at_site(bundle, where, Path("/x"))) == "a release"


def test_a_list_of_bundles_by_a_later_deployctl_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "bundles.json").write_text(json.dumps({"schema": 99, "bundles": []}))
    with pytest.raises(StoreTooNew):
        Store(tmp_path).list()


def test_a_journal_that_is_none_is_told_by_its_path(tmp_path: Path) -> None:
    (tmp_path / "journal.sqlite").write_bytes(b"not a database, " * 100)
    with pytest.raises(JournalUnusable, match="journal.sqlite: file is not a database"):
        Journal(tmp_path / "journal.sqlite")


def test_a_plan_that_is_no_longer_the_one_that_was_shown_is_not_applied() -> None:
    class Planned:
        problems = ()

        def __init__(self, plan: str) -> None:
            self.plan, self.site = plan, type("Site", (), {"name": "acme"})

    with pytest.raises(SiteMoved):
        _unmoved(Planned("shown"), Planned("now"))  # type: ignore[arg-type]


def test_a_lock_of_somebody_else_says_who_has_it() -> None:
    lease = {"holder": "ops@deploy", "since": 0.0, "until": 60.0}
    error = agent_error("db1", {"error": "locked", "message": "", "lease": lease})
    assert isinstance(error, SiteLocked) and "ops@deploy" in str(error)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (OSError(28, "No space left on device"), DiskFull),
        (OSError(28, "No space left on device", "/a"), DiskFull),
        (OSError(30, "Read-only file system", "/a"), FileUnusable),
        (PermissionError(13, "Permission denied", "/a"), FileUnusable),
        (ZeroDivisionError("x"), Unexpected),
    ],
)
def test_what_the_system_says_is_told_by_who_must_act(error: Exception, kind: type) -> None:
    assert type(ending(error)) is kind


def test_a_machine_without_docker_has_no_rehearsal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(DockerMissing):
        program()


@pytest.mark.skipif(not shutil.which("docker"), reason="no Docker here")
def test_what_docker_refuses_is_told_in_its_own_words() -> None:
    with pytest.raises(DockerFailed, match="network") as caught:
        docker(["network", "inspect", "--format", "{{.Name}}", "rh-nobody-has-this"])
    assert caught.value.place == "docker network"


def test_a_vendor_without_his_extra_is_told_which(tmp_path: Path) -> None:
    """In a process of its own, where the library can't be imported, as on a deploy node."""
    lines = (
        "import sys", "sys.modules['cyclonedx'] = None", "from deploybundle.sources import sbom",
        "try: sbom.release_sbom('a', '1', '', [])", "except sbom.SbomImpossible as error: print(error.code, error.hint)",
    )  # fmt: skip
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=False)
    assert done.stdout == "sbom-library pip install 'deployctl[vendor]'\n", done.stderr


def test_two_commands_do_not_change_one_rehearsal(tmp_path: Path) -> None:
    with changing(tmp_path), pytest.raises(RehearsalBusy), changing(tmp_path):
        pass


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_ends_it_as_ctrl_c_does(number: signal.Signals, tmp_path: Path) -> None:
    """In a process of its own, that waits for a fifo nobody writes to."""
    os.mkfifo(tmp_path / "key")
    words = ["deployctl", "trust", "add", str(tmp_path / "key")]
    lines = (
        "import signal, sys", "signal.signal(signal.SIGINT, signal.default_int_handler)",
        "signal.signal(signal.SIGHUP, signal.SIG_DFL)",  # a shell in the background, and nohup, leave children deaf
        "from deployctl.commands import main",
        f"sys.argv = {words!r}", "print('up', file=sys.stderr, flush=True)", "main.run()",
    )  # fmt: skip
    with subprocess.Popen([sys.executable, "-c", "\n".join(lines)], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        process.stderr.readline()
        time.sleep(1)
        process.send_signal(number)
        said = process.stderr.read()
    assert (process.returncode, "[interrupted]" in said, "Traceback" in said) == (130, True, False), said
