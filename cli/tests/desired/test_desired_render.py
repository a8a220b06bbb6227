"""Templates: what they see, and what they are on a laptop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sites import ONE, release, site, sources

from deployctl.desired import File, desired, render_laptop
from deployctl.desired.render import TemplateInvalid, render, template_names
from deployctl.secrets import Secret

WEB = release(
    {"web": {"volumes": [{"type": "bind", "source": "/srv/shop/config", "target": "/c"}]}, "api": {}}, [("web", "api", 8000)]
)


def rendered(text: str, where: Any = None, **client: Any) -> str:
    shall = desired(WEB, where or site(ONE, title="Acme", **client), sources(WEB, {"config/a.j2": text.encode()}))
    return next(host.files["/etc/deployctl/shop/config/a"].content.decode() for host in shall.hosts.values())


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{ host.name }} {{ host.address }} {{ host.segment }}", "srv1 10.78.10.11 server"),
        ("{{ client.name }} {{ client.title }} {{ client.COLOUR }}", "acme Acme red"),
        ("{{ client.LEVEL | default('info') }}", "info"),
        ("{{ release.name }} {{ release.version }} {{ site.name }}", "shop 1.0.0 acme"),
        ("{% for api in site.endpoints('api') %}\n{{ api.host }}:{{ api.port }}\n{% endfor %}\nend\n", "srv1:8000\nend\n"),
        ("{{ site.endpoints('api', 9000)[0].port }}", "9000"),
        ("<&'\">\n\n", "<&'\">\n\n"),
    ],
)
def test_a_template_sees_site_host_client_and_release(template: str, text: str) -> None:
    assert rendered(template + "{# {{ client.COLOUR }} #}{{ '' if client.COLOUR }}", settings={"COLOUR": "red"}) == text


def test_on_another_host_a_service_is_reached_by_that_host_s_address_and_port() -> None:
    two = site({"a": ("10.0.0.1", "x"), "b": ("10.0.0.2", "y")}, place={"web": "a", "api": "b"}, ports={"api": {8000: 18000}})
    assert rendered("{{ site.endpoints('api')[0] }}", two) == "10.0.0.2:18000"


def test_a_file_keeps_its_mode_unless_it_holds_a_secret() -> None:
    script, secrets = File(b"{{ secrets.used }}", mode=0o755), {"used": Secret("value")}
    assert render("a.j2", File(b"plain", mode=0o755), {}, secrets).mode == 0o755
    made = render("a.j2", script, {}, secrets)
    assert (made.content, made.mode, made.secret) == (b"value", 0o440, True)


def test_templates_are_those_of_the_config_folder() -> None:
    names = ["config/a.j2", "config/b/c.j2", "config/plain", "configs/d.j2", "e.j2"]
    assert template_names(names, "./config/") == template_names(names, "config") == ["config/a.j2", "config/b/c.j2"]
    assert template_names(names, None) == []


def test_a_laptop_finds_services_by_their_compose_names_and_shows_no_secret(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config/a.j2").write_text("{{ site.endpoints('api')[0] }} {{ host.name }} {{ client.title }}")
    assert render_laptop(WEB, tmp_path) == {"config/a": b"api:8000 laptop laptop"}
    for wrong, says in [
        ("{{ secrets.pw }}", 'config/a.j2:1: no secret "pw"'),
        ("\n{{ site.endpoints('app') }}", 'config/a.j2:2: no service "app"; did you mean "api"'),
        ("{{ site.endpoints('web') }}", 'config/a.j2:1: service "web" has no known port'),
    ]:
        (tmp_path / "config/a.j2").write_text(wrong)
        with pytest.raises(TemplateInvalid, match=says):
            render_laptop(WEB, tmp_path)
