"""What compose.yaml says, read by the real Compose."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploybundle.release import ANY, ComposeMissing, Flow, Port, ReleaseInvalid, load, project_files
from deploybundle.sources import compose_binary

SHOP = """
name: shop
x-deployctl:
  version: "1.1.0"
  config: config/
  flows:
    - {from: clients, to: "nginx:8443"}
    - {from: [api, worker], to: ["db:5432", "dns:53/udp"]}
  secrets: {pw: {kind: password, length: 40}}
secrets: {pw: {file: ./dev/pw}}
configs: {motd: {file: ./motd}}
services:
  nginx:
    image: nginx
    ports: ["127.0.0.1:8443:8443"]
    volumes: ["./config/nginx.conf:/etc/nginx.conf:ro"]
    configs: [motd]
    x-deployctl: {segment: dmz, drain: 30s}
  api: {build: ., user: "10001", secrets: [pw], environment: {OPEN: "${OPEN}", SIZE: "${SIZE:-a b}", NONE: "${NONE:-}"}}
  worker: {extends: {file: base/common.yaml, service: common}, profiles: [jobs]}
  db: {image: "reg.example:5000/db:17", volumes: ["data:/d"], expose: ["5432"]}
volumes: {data: {}}
"""
FILES = {
    "compose.yaml": SHOP,
    "base/common.yaml": "services: {common: {image: 'shop/app:1', env_file: ../app.env}}",
    "app.env": "A=1\nHERE=${HOME}\n",
    "motd": "hello",
    "config/nginx.conf.j2": "{{ x }}",
    "config/nginx.conf": "rendered for a laptop",
    "dev/pw": "hunter2",
    ".env": "OPEN=of-a-laptop\nSIZE=9\n",
    "compose.override.yaml": "services: {api: {environment: {OPEN: override}}}",
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / "shop" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "shop" / name).write_text(text)
    return tmp_path / "shop"


def test_services_have_image_ports_secrets_and_settings(project: Path) -> None:
    release = load(project, compose_binary=compose_binary())
    assert (release.name, release.version, release.plain) == ("shop", "1.1.0", False)
    images = {name: service.image for name, service in release.services.items()}
    assert images == {
        "nginx": "nginx:latest",
        "api": "shop-api:latest",
        "worker": "shop/app:1",
        "db": "reg.example:5000/db:17",
    }
    assert release.services["nginx"].published == {Port(8443): 8443}
    assert release.services["nginx"].spec.segment == "dmz"
    assert release.services["db"].volumes and not release.services["api"].volumes
    assert release.services["api"].secrets == ("pw",) and release.secrets["pw"].length == 40
    assert release.settings == {"OPEN": None, "SIZE": "a b", "NONE": ""}


def test_flows_are_written_out_one_a_pair(project: Path) -> None:
    assert load(project, compose_binary=compose_binary()).flows == (
        Flow("clients", "nginx", 8443),
        Flow("api", "db", 5432),
        Flow("api", "dns", 53, "udp"),
        Flow("worker", "db", 5432),
        Flow("worker", "dns", 53, "udp"),
    )


def test_nothing_of_this_machine_gets_in(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither our environment, nor .env, nor the override file of a laptop."""
    monkeypatch.setenv("OPEN", "ours")
    environment = load(project, compose_binary=compose_binary()).services["api"].compose["environment"]
    assert environment == {"OPEN": "", "SIZE": "a b", "NONE": ""}
    assert load(project, compose_binary=compose_binary()).services["worker"].compose["environment"]["HERE"] == ""


def test_answers_of_the_client_are_seen(project: Path) -> None:
    release = load(project, compose_binary=compose_binary(), environment={"OPEN": "acme"})
    assert release.services["api"].compose["environment"]["OPEN"] == "acme"


def test_a_profile_that_is_off_takes_its_flows_along(project: Path) -> None:
    release = load(project, compose_binary=compose_binary(), profiles=())
    assert "worker" not in release.services
    assert {flow.source for flow in release.flows} == {"clients", "api"}


def test_the_files_that_travel_are_all_and_hold_no_secret(project: Path) -> None:
    release = load(project, compose_binary=compose_binary())
    files = project_files(release, project, compose_binary=compose_binary())
    assert sorted(files) == ["app.env", "base/common.yaml", "compose.yaml", "config/nginx.conf.j2", "motd"]


def test_a_template_that_cannot_be_read_is_told_by_its_line(project: Path) -> None:
    (project / "config/a.conf.j2").write_text("ok\n{% for x in %}\n")
    (project / "config/b.conf.j2").write_text("{{ host.name | shout }}")
    (project / "config/c.conf.j2").write_bytes(b"caf\xe9")
    with pytest.raises(ReleaseInvalid) as caught:
        project_files(load(project, compose_binary=compose_binary()), project)
    said = [str(problem) for problem in caught.value.found]
    assert [line.split(": ")[0] for line in said] == ["config/a.conf.j2:2", "config/b.conf.j2:1", "config/c.conf.j2"]
    assert "No filter named 'shout'" in said[1] and "expected UTF-8" in said[2]


def test_a_bind_mount_of_what_is_not_there_is_refused(project: Path) -> None:
    (project / "motd").unlink()
    with pytest.raises(ReleaseInvalid, match='configs.motd.file: "motd" is not there, or empty'):
        project_files(load(project, compose_binary=compose_binary()), project)


def test_a_link_out_of_the_project_is_refused(project: Path) -> None:
    (project / "motd").unlink()
    (project / "motd").symlink_to("/etc/hostname")
    with pytest.raises(ReleaseInvalid, match="outside the project"):
        project_files(load(project, compose_binary=compose_binary()), project)


def test_a_plain_file_gets_flows_from_its_ports_and_networks(tmp_path: Path) -> None:
    (tmp_path / "compose.yml").write_text(
        """
name: plain
services:
  web: {image: "w:2", ports: ["80:8080", "127.0.0.1:9000:9000"], networks: [front, back]}
  api: {image: "a:2", networks: [back]}
  other: {image: "o:2", networks: [front], expose: ["7"]}
networks: {front: {}, back: {}}
"""
    )
    release = load(tmp_path, compose_binary=compose_binary(), exposed={"a:2": (Port(5000),)})
    assert (release.plain, release.version) == (True, "2")
    assert set(release.flows) == {
        Flow(ANY, "web", 8080),
        Flow("api", "web", 8080),
        Flow("api", "web", 9000),
        Flow("other", "web", 8080),
        Flow("other", "web", 9000),
        Flow("web", "api", 5000),
        Flow("web", "other", 7),
    }


def test_a_required_answer_has_a_placeholder_at_the_vendor(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text('services: {web: {image: "w:1", ports: ["${PORT:?which}:80"]}}')
    release = load(tmp_path, compose_binary=compose_binary(), fill_required=True)
    assert release.settings == {"PORT": None}


def test_a_folder_without_a_compose_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(ComposeMissing, match=r"no compose\.yaml here"):
        load(tmp_path, compose_binary=compose_binary())
