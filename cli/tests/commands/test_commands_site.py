"""A vendor's and a site's verbs on a small product: in, as a file, and what a site would do with it."""

from __future__ import annotations

import json
import platform
import socket
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from memory_images import MemoryImages, layer
from said import Deployctl

from deploybundle.pack import Toolbox, make
from deploybundle.sources import DockerImages, ImageSource, compose_binary
from deploybundle.trust import generate, load_private
from deployctl.commands.client import CLIENT
from deployctl.secrets import AnsibleVault, Secret, VaultPassword
from deployctl.site import ClientSettings, load_site

PROJECT = {
    "compose.yaml": """
name: tiny
x-deployctl:
  version: 1.2.3
  config: config/
  flows: [{from: clients, to: "web:18473"}, {from: web, to: "db:5432"}]
  secrets: {pw: {kind: password, length: 20}, token: {}, tls: {kind: tls, hosts: [shop.example]}}
secrets: {pw: {file: dev/pw}, token: {file: dev/token}, tls: {file: dev/tls}}
services:
  web:
    image: tiny/web:1
    user: "1000"
    secrets: [pw, token, tls]
    environment: {LEVEL: "${LEVEL:-info}"}
    volumes: ["./config/web.conf:/etc/web.conf:ro"]
  db: {image: "tiny/db:1"}
""",
    "config/web.conf.j2": "db {{ site.endpoints('db')[0] }} on {{ host.name }}\n",
}
HOSTS = """
all:
  children:
    server: {hosts: {srv1: {ansible_host: 127.0.0.1, ansible_connection: local}}}
    management: {hosts: {deploy: {ansible_host: 10.9.0.1, ansible_connection: local}}}
"""
BASE = layer({"etc/os-release": b"tiny\n" * 1000})


class Tools(Toolbox):
    """Compose only: whoever tests these verbs needs no wheels."""

    def wheels(self) -> dict[str, list[Path]]:
        return {}

    def tools(self, compose: Path) -> dict[str, Path]:
        return {"docker-compose": compose}


class ForThisMachine(MemoryImages):
    """Images that say for which machine they are."""

    def config(self, ref: str) -> bytes:
        arch = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
        return json.dumps(json.loads(super().config(ref)) | {"architecture": arch}).encode()


@dataclass
class Tiny:
    """A vendor of a tiny product, and his bundle."""

    project: Path
    key: Path
    bundle: Path


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def bundled(home: Path, images: ImageSource) -> Tiny:
    project = write(home / "tiny", PROJECT)
    generate(home / "vendor", None)
    built = make(project, home / "dist", load_private(home / "vendor", None), Tools(home, home), images=images, level=1)
    return Tiny(project, home / "vendor.pub", built.path)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    images = ForThisMachine(
        {f"tiny/{name}:1": [BASE, layer({"bin/x": name.encode() * 99})] for name in ("web", "db")}, expose=()
    )
    return bundled(tmp_path_factory.mktemp("tiny"), images)


@pytest.fixture
def acme(home: Path) -> Path:
    """A client whose one host is this machine, which nothing here changes."""
    folder = write(home / "inventories/acme", {
        "hosts.yml": HOSTS, "group_vars/all/client.yml": "networks: {clients: {cidr: [10.9.9.0/24]}}\n",
    })  # fmt: skip
    (home / "password").write_text("correct horse\n")
    return folder


def test_a_key_is_made_with_its_public_half_and_trusted_here(deployctl: Deployctl, home: Path) -> None:
    assert "[passphrase-missing]" in deployctl("keygen").err
    said = deployctl("keygen", "--no-passphrase")
    key = home / "xdg_config_home/deployctl/signing.key"
    fingerprint, words, *_ = said.out.splitlines()
    assert said.code == 0 and fingerprint.startswith("SHA256:") and len(words.split()) > 5
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert fingerprint in deployctl("trust", "show").out
    (one,) = json.loads(deployctl("trust", "show", "--json").out)["vendors"]
    assert one["keys"][0]["fingerprint"] == fingerprint
    again = deployctl("keygen", "--no-passphrase")
    assert again.code == 1 and str(key) in again.err


def test_a_key_may_have_a_passphrase_and_another_algorithm(deployctl: Deployctl, home: Path) -> None:
    (home / "phrase").write_text("open sesame\n")
    assert deployctl("keygen", "--ed25519", "--key", "k", "--passphrase-file", "phrase").code == 0
    assert "ssh-ed25519" in (home / "k.pub").read_text()
    assert load_private(home / "k", b"open sesame").public.fingerprint in deployctl("trust", "show").out


def test_nobody_is_trusted_without_a_yes(deployctl: Deployctl, tiny: Tiny) -> None:
    said = deployctl("trust", "add", tiny.key)
    assert said.code == 1 and "nothing was trusted" in said.err and said.out.startswith("SHA256:")
    refused = deployctl("verify", tiny.bundle)
    assert (
        refused.code == 3 and "no vendor is trusted on this machine yet" in refused.err and "deployctl trust add" in refused.err
    )
    assert deployctl("trust", "add", tiny.key, "--yes").code == 0
    assert deployctl("verify", tiny.bundle).out.startswith("tiny 1.2.3, signed by SHA256:")


def test_a_damaged_bundle_is_refused_before_anything_else(deployctl: Deployctl, tiny: Tiny, acme: Path, home: Path) -> None:
    data = bytearray(tiny.bundle.read_bytes())
    data[len(data) // 2] ^= 1
    (home / "bad.tar").write_bytes(data)
    for verb in (["verify"], ["plan", "--client", "acme"], ["install", "--client", "acme"]):
        said = deployctl(*verb, home / "bad.tar", "--key", tiny.key)
        assert (said.code, said.out) == (3, ""), said


def test_inspect_shows_what_is_in_it_to_people_and_scripts(deployctl: Deployctl, tiny: Tiny) -> None:
    said = deployctl("inspect", tiny.bundle, "--key", tiny.key)
    assert said.code == 0
    assert "tiny 1.2.3" in said.out and "tiny/web:1" in said.out and "config/web.conf.j2" in said.out
    data = json.loads(deployctl("inspect", tiny.bundle, "--key", tiny.key, "--json").out)
    assert data["images"].keys() == {"tiny/web:1", "tiny/db:1"} and len(data["images"]["tiny/web:1"]["layers"]) == 2
    assert data["tools"].keys() == {"docker-compose"}


def test_a_new_client_s_inventory_validates_and_all_that_it_comments_out_does_too(deployctl: Deployctl, home: Path) -> None:
    said = deployctl("client", "new", "globex")
    assert (said.code, said.out) == (0, "") and "secrets generate --client globex" in said.err
    site = load_site(home / "inventories/globex")
    assert [host.name for host in site.targets] == ["srv1"] and site.client.title == "globex"
    lines = [line.removeprefix("# ") if ":" in line.partition(" #")[0] else line for line in CLIENT.splitlines()[1:]]
    lines = [line.removeprefix("#") for line in lines]
    written = ClientSettings.model_validate(yaml.safe_load("\n".join(lines)))
    assert written.model_fields_set == ClientSettings.model_fields.keys() - {"segments", "secrets"}


@pytest.mark.parametrize("name", ["Acme", "a b", "../x", "", "-x", "a" * 32])
def test_a_name_that_is_none_is_refused(name: str, deployctl: Deployctl, home: Path) -> None:
    said = deployctl("client", "new", "--", name)
    assert said.code == 1 and f'"{name}" is no name for a client' in said.err
    assert not (home / "inventories").exists()


def test_an_inventory_that_is_there_is_not_written_over(deployctl: Deployctl, acme: Path) -> None:
    said = deployctl("client", "new", "acme")
    assert (said.code, said.err) == (1, "deployctl: inventories/acme: exists already; nothing was written [client-exists]\n")
    assert (acme / "hosts.yml").read_text() == HOSTS


def test_secrets_are_made_once_and_what_is_there_is_kept(deployctl: Deployctl, tiny: Tiny, acme: Path) -> None:
    words = ["secrets", "generate", "--client", "acme", tiny.bundle, "--key", tiny.key, "--vault-password-file", "password"]
    first = deployctl(*words)
    assert (first.code, first.out) == (0, "")
    assert "2 made (pw, tls), 0 kept" in first.err and "only the client knows: token" in first.err
    vault = acme / "group_vars/all/vault.yml"
    before = vault.read_bytes()
    assert "nothing to make, 2 kept" in deployctl(*words).err
    assert vault.read_bytes() == before
    no_password = deployctl(*words[:-2])
    assert no_password.code == 1 and "no vault password was given" in no_password.err
    (acme.parent.parent / "password").write_text("wrong\n")
    wrong = deployctl(*words)
    assert wrong.code == 1 and "the vault password does not open it" in wrong.err


def test_a_laptop_gets_its_files_beside_the_templates(deployctl: Deployctl, home: Path) -> None:
    project = write(home / "p", PROJECT)
    assert deployctl("render", "--client", "laptop", project).err == f"wrote {project}/config/web.conf\n"
    assert (project / "config/web.conf").read_text() == "db db:5432 on laptop\n"
    site = deployctl("render", "--client", "acme", project)
    assert (site.code, site.err.count("deployctl install --client acme")) == (1, 1)


def test_the_table_of_flows_is_a_file_or_a_word_why_not(deployctl: Deployctl, home: Path, acme: Path) -> None:
    words = ["flows", "--client", "acme", write(home / "p", PROJECT), "--csv"]
    assert deployctl(*words, "t.csv").code == 0 and "18473" in (home / "t.csv").read_text()
    said = deployctl(*words, "nowhere/t.csv")
    assert (said.code, "nowhere/t.csv: could not be written: No such file" in said.err) == (1, True), said.err
    assert "[csv-not-written]" in said.err


@pytest.mark.docker
def test_a_plan_says_what_this_machine_would_get_and_changes_nothing(deployctl: Deployctl, tiny: Tiny, acme: Path) -> None:
    given = ["--client", "acme", tiny.bundle, "--key", tiny.key, "--vault-password-file", "password"]
    vault = AnsibleVault(acme / "group_vars/all/vault.yml", VaultPassword(file=acme.parent.parent / "password"))
    vault.add("tiny", {name: Secret("canary-5f2a") for name in ("pw", "tls", "token")})
    with socket.create_server(("0.0.0.0", 18473)):  # noqa: S104
        busy = deployctl("preflight", *given)
    assert busy.code == 4 and "srv1: port 18473/tcp is in use" in busy.err
    said = deployctl("plan", *given, "--json")
    if said.code == 4:
        pytest.skip(f"this machine is no host: {said.err}")
    plan: dict[str, Any] = json.loads(said.out)["hosts"]["srv1"]
    assert [step["ref"] for step in plan["images"]] == ["tiny/db:1", "tiny/web:1"]
    assert plan["waves"] == {"0": ["db"], "1": ["web"]} and plan["first"]
    shown = deployctl("plan", *given).out
    assert "  srv1\n" in shown and "send   tiny/db:1: 2 layers" in shown and "start  web (wave 2 of 2): new" in shown
    assert "canary-5f2a" not in said.out + said.err + shown
    assert not Path("/etc/deployctl/tiny").exists()


@pytest.mark.docker
def test_images_of_this_machine_s_docker_get_into_a_bundle(deployctl: Deployctl, home: Path) -> None:
    refs = ["tiny/web:1", "tiny/db:1"]
    for ref in refs:
        subprocess.run(["docker", "import", "-", ref], input=layer({"x": ref.encode()}), capture_output=True, check=True)
    try:
        made = bundled(home, DockerImages())
    finally:
        subprocess.run(["docker", "rmi", *refs], capture_output=True, check=False)
    assert made.bundle.name == "tiny-1.2.3.bundle.tar"
    assert deployctl("verify", made.bundle, "--key", made.key).code == 0


def test_an_image_that_is_not_there_is_named_with_who_needs_it(home: Path) -> None:
    with pytest.raises(Exception, match=r"tiny/db:1") as caught:
        bundled(home, MemoryImages({"tiny/web:1": [BASE]}))
    assert "db" in str(caught.value) and compose_binary().exists()
    assert not list(home.glob("dist/*"))
