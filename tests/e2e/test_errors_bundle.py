"""What goes wrong at the vendor, and with a bundle on its way: one clear message, a code, nothing left behind."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from deploybundle.open import open_bundle
from deploybundle.open.medium import OneFile, Reading
from deploybundle.open.tar import BLOCK, Tar
from deployctl.commands.exits import Exit
from places import Done, Vendor

pytestmark = pytest.mark.e2e
IMAGE = "collector/redis:8"
COMPOSE = """\
name: shop
x-deployctl:
  version: 1.0.0
  flows: [{from: clients, to: front:8080}]
services:
  front: {image: IMAGE, expose: [8080], x-deployctl: {segment: dmz}}
"""


def complains(done: Done, code: Exit, *words: str) -> None:
    """It ended with this code and said all of this, in one message with a way out and no traceback."""
    said = done.stdout + done.stderr
    assert done.returncode == code, said
    assert "Traceback" not in said
    assert not [word for word in words if word not in said], said
    assert "deployctl: " in done.stderr
    assert done.stdout == ""


def project(folder: Path, text: str = COMPOSE) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "compose.yaml").write_text(text.replace("IMAGE", IMAGE))
    return folder


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Vendor:
    """A vendor with a key, and a bundle of one image."""
    folder = tmp_path_factory.mktemp("small")
    one = Vendor(folder / "config", folder)
    one.run("keygen", "--no-passphrase")
    one.bundle(project(folder / "shop"))
    return one


@pytest.fixture(scope="module")
def bundle(small: Vendor) -> Path:
    return small.medium / "shop-1.0.0.bundle.tar"


@pytest.fixture(scope="module")
def marks(bundle: Path) -> dict[str, int]:
    """Where the parts of the bundle lie: offsets by name; of the largest blob; and the size of the file."""
    found, at, size = {}, 0, bundle.stat().st_size
    with Reading(OneFile(bundle, size)) as file:
        tar = Tar(file, size, "")
        while (entry := tar.entry(at)) and not entry.name.startswith("blobs/"):
            found[entry.name], at = entry.offset, entry.end
    blob = max(open_bundle(bundle, None).blobs.values(), key=lambda one: one.size)
    return {**found, "blob": blob.offset + blob.size // 2, "end": size}


@pytest.fixture
def copy(bundle: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(bundle, tmp_path / "copied.bundle.tar"))


@pytest.mark.parametrize("where", ["index.json", "deployctl/index.sshsig", "deployctl/padding", "blob", "end"])
def test_a_bundle_that_was_cut_short_is_refused(small: Vendor, copy: Path, marks: dict[str, int], where: str) -> None:
    os.truncate(copy, marks[where] - 100)
    expected = ("expected at least", f"got {marks[where] - 100}", "copy the bundle again")
    complains(small.run("verify", str(copy), check=False), Exit.REFUSED, str(copy), *expected)


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("oci-layout", ("oci-layout",)),
        ("index.json", ("deployctl/index.dsse.json",)),
        ("deployctl/index.dsse.json", ("deployctl/index.dsse.json",)),
        ("deployctl/index.sshsig", ("deployctl/index.sshsig",)),
        ("deployctl/vendor.pub", ("vendor.pub",)),
        ("deployctl/padding", ("expected zeros",)),
        ("blob", ("expected sha256:", "got sha256:", "at offset", "blob ")),
    ],
)
def test_a_flipped_bit_is_found_wherever_it_is(
    small: Vendor, copy: Path, marks: dict[str, int], where: str, words: tuple[str, ...]
) -> None:
    flip(copy, marks[where] + 24)
    complains(small.run("verify", str(copy), check=False), Exit.REFUSED, str(copy), "nothing of it was used", *words)


def flip(path: Path, offset: int) -> None:
    with path.open("r+b") as file:
        byte = os.pread(file.fileno(), 1, offset)[0]
        os.pwrite(file.fileno(), bytes([byte ^ 1]), offset)


def test_a_bundle_without_one_of_its_signatures_is_refused(small: Vendor, copy: Path, marks: dict[str, int]) -> None:
    data = copy.read_bytes()
    first, second = marks["deployctl/index.dsse.json"] - BLOCK, marks["deployctl/index.sshsig"] - BLOCK
    copy.write_bytes(data[:first] + data[second:])
    words = (str(copy), "expected deployctl/index.dsse.json, got deployctl/index.sshsig")
    complains(small.run("verify", str(copy), check=False), Exit.REFUSED, *words)


def test_something_else_than_a_bundle_is_refused(small: Vendor, tmp_path: Path) -> None:
    for name, content in (("notes.txt", b"hello"), ("image.tar", bytes(10240))):
        (tmp_path / name).write_bytes(content)
        done = small.run("verify", str(tmp_path / name), check=False)
        complains(done, Exit.REFUSED, str(tmp_path / name), "no bundle of deployctl", "deployctl bundle")


def test_a_file_that_is_not_there_is_the_users_to_mend(small: Vendor, tmp_path: Path) -> None:
    complains(small.run("verify", str(tmp_path / "x"), check=False), Exit.INPUT, str(tmp_path / "x"), "No such file")
    complains(small.run("inspect", str(tmp_path), check=False), Exit.INPUT, str(tmp_path), "Is a directory")


@pytest.mark.parametrize("verb", ["verify", "inspect"])
def test_a_bundle_is_refused_where_nobody_is_trusted(small: Vendor, bundle: Path, tmp_path: Path, verb: str) -> None:
    done = replace(small, home=tmp_path).run(verb, str(bundle), check=False)
    complains(done, Exit.REFUSED, str(tmp_path), "no vendor is trusted", "deployctl trust add")


def test_a_bundle_of_somebody_unknown_is_refused_and_both_keys_are_shown(small: Vendor, bundle: Path, tmp_path: Path) -> None:
    other = replace(small, home=tmp_path)
    theirs = other.run("keygen", "--no-passphrase").stdout.split()[0]
    ours = small.run("verify", str(bundle)).stdout.split()[-1]
    for done in (
        other.run("verify", str(bundle), check=False),
        small.run("verify", "--key", str(tmp_path / "deployctl/signing.key.pub"), str(bundle), check=False),
    ):
        complains(done, Exit.REFUSED, str(bundle), ours, theirs)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("image: ", "image: no-such/"), (f"no such image: no-such/{IMAGE} (service front)", "docker compose build")),
        (("segment: dmz", "segmnt: dmz"), ("services.front.x-deployctl.segmnt: unknown key", 'did you mean "segment"?')),
        (("1.0.0", "1.5"), ("x-deployctl.version: expected text, got a number (1.5)", 'write "1.5", in quotes')),
        (("to: front:", "to: frunt:"), ('x-deployctl.flows[0].to: no service "frunt"', 'did you mean "front"?')),
        (("services:", "services: ["), ("compose.yaml",)),
        (("image: IMAGE", "image: 'shop:${TAG}'"), ("services.front.image: TAG has no value", "${TAG:-…}")),
        (("{image: ", "{depends_on: [db], image: "), ('service "front" depends on undefined service "db"',)),
    ],
    ids=["image", "key", "type", "flow", "syntax", "variable", "dependency"],
)
def test_a_release_that_cannot_be_meant_is_not_bundled(
    small: Vendor, tmp_path: Path, change: tuple[str, str], words: tuple[str, ...]
) -> None:
    shop = project(tmp_path / "shop", COMPOSE.replace(*change))
    done = small.run("bundle", str(shop), check=False)
    place = "Docker: " if change[1].endswith("no-such/") else "compose.yaml: "
    complains(done, Exit.INPUT, place, *words)
    assert not (shop / "dist").exists()


def test_no_compose_file_no_folder(small: Vendor, tmp_path: Path) -> None:
    complains(small.run("bundle", str(tmp_path), check=False), Exit.INPUT, str(tmp_path), "compose.yaml")
    complains(small.run("bundle", str(tmp_path / "nope"), check=False), Exit.INPUT, str(tmp_path / "nope"))


@pytest.mark.parametrize("what", ["file", "read-only"])
def test_a_folder_that_cannot_be_written(small: Vendor, tmp_path: Path, what: str) -> None:
    shop, out = project(tmp_path / "shop"), tmp_path / "out"
    if what == "file":
        out.write_text("in the way")
    else:  # root writes everywhere but there
        out = Path("/proc/sys/kernel")
    complains(small.run("bundle", str(shop), "--out", str(out), check=False), Exit.INPUT, str(out), "cannot be written")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda key: key.chmod(0o644), ("mode is 0644; expected 0600", "chmod 600")),
        (lambda key: key.unlink(), ("No such file", "deployctl keygen")),
        (lambda key: key.write_text("hello"), ("not a private key", "expected PKCS #8")),
    ],
    ids=["too-open", "missing", "no-key"],
)
def test_a_key_that_cannot_sign(small: Vendor, tmp_path: Path, spoil: Callable[[Path], None], words: tuple[str, ...]) -> None:
    shop, key = project(tmp_path / "shop"), tmp_path / "signing.key"
    shutil.copy(small.home / "deployctl/signing.key", key)
    key.chmod(0o600)
    spoil(key)
    complains(small.run("bundle", str(shop), "--key", str(key), check=False), Exit.INPUT, str(key), *words)
    assert not (shop / "dist").exists()


def test_a_passphrase_that_does_not_open_the_key(small: Vendor, tmp_path: Path) -> None:
    shop, key = project(tmp_path / "shop"), tmp_path / "locked.key"
    (tmp_path / "right").write_text("right\n")
    (tmp_path / "wrong").write_text("wrong\n")
    replace(small, home=tmp_path).run("keygen", "--key", str(key), "--passphrase-file", str(tmp_path / "right"))
    bundle = ("bundle", str(shop), "--key", str(key))
    wrong = small.run(*bundle, "--passphrase-file", str(tmp_path / "wrong"), check=False)
    complains(wrong, Exit.INPUT, str(key), "does not open", "--passphrase-file")
    complains(small.run(*bundle, check=False), Exit.INPUT, str(key), "none was given", "--passphrase-file")


def test_a_second_key_never_replaces_the_first(small: Vendor) -> None:
    complains(small.run("keygen", "--no-passphrase", check=False), Exit.INPUT, "signing.key", "there is a key already")


def test_words_that_are_no_command_are_usage(small: Vendor) -> None:
    for words in (["instal"], ["bundle", "--lvl", "3"], ["install"]):
        done = small.run(*words, check=False)
        assert done.returncode == Exit.USAGE
        assert "Traceback" not in done.stderr
        assert re.search(r"[Nn]o such|Missing", done.stderr), done.stderr


def hears_ctrl_c() -> None:
    """For a child: Ctrl-C ends it, as at a terminal."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_ctrl_c_leaves_no_half_bundle_and_the_one_before_stays(small: Vendor, bundle: Path, tmp_path: Path) -> None:
    shop, out = project(tmp_path / "shop"), tmp_path / "out"
    out.mkdir()
    (out / bundle.name).write_text("the one before")
    partial = out / f"{bundle.name}.partial"
    environment = {**os.environ, "XDG_CONFIG_HOME": str(small.home)}
    command = ["deployctl", "bundle", str(shop), "--out", str(out), "--level", "12"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    # A suite that a shell started in the background is deaf to SIGINT, and so would its children be.
    with subprocess.Popen(command, env=environment, preexec_fn=hears_ctrl_c, **pipes) as process:
        while process.poll() is None and not (partial.exists() and partial.stat().st_size):
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=300)
    complains(Done(command, process.returncode, *said), Exit.INTERRUPTED, "interrupted", "run the same command again")
    assert [path.name for path in out.iterdir()] == [bundle.name]
    assert (out / bundle.name).read_text() == "the one before"
