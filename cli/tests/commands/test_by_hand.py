"""A plan as the commands that a person would type: every step of it, in the order of an install, no secret in them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sites import ONE, bare, installed, release, site, sources

from deployctl.commands.by_hand import by_hand
from deployctl.desired import desired
from deployctl.plan import Plan, leaving, plan

SHOP = release({"api": {"x": {"migrate": ["up"]}, "user": "1", "secrets": [{"source": "pw"}]}, "db": {}}, [("api", "db", 5432)])
SOURCES = sources(SHOP, pw="canary-5f2a")
SHALL = desired(SHOP, site(ONE), SOURCES)
THERE = installed(SHALL, SHALL.hosts["srv1"], SOURCES.images)
FILES = {name: host.files for name, host in SHALL.hosts.items()}
EMPTY = Plan(client="acme", project="shop", version="", bundle="", waves=0, hosts={})


def typed(facts: dict[str, Any]) -> list[str]:
    steps = plan(SHALL, {"srv1": facts}, SOURCES.images, "acme", "/b.tar", "i")
    return [line.partition("srv1# ")[2] or line for line in by_hand(steps, FILES)][1:]


def test_a_first_install_is_images_files_the_table_and_the_waves() -> None:
    lines = typed(bare())
    assert "a deploy node needs no Docker" in lines[0]
    assert lines[1] == "# $ docker save shop/db:1 | ssh srv1 sudo docker load"
    assert not [line for line in lines if line.startswith("$")]  # nothing that a deploy node cannot run
    assert "install -D -m 400 -o 1 -g 1 pw /var/lib/deployctl/shop/secrets/api/..b708bda08e46/pw" in lines
    assert "ln -sfn ..data/pw /var/lib/deployctl/shop/secrets/api/pw" in lines
    unit, up = "deployctl-network.service", "up -d --wait --no-deps --pull never"
    assert lines[-5:-1] == [
        f"systemctl daemon-reload && systemctl enable {unit} && systemctl restart {unit}",
        f"cd /etc/deployctl/shop && docker compose {up} db",
        "cd /etc/deployctl/shop && docker compose run --rm --no-deps api-migrate",
        f"cd /etc/deployctl/shop && docker compose {up} api",
    ]
    assert "canary" not in "\n".join(lines)


def test_every_file_of_the_plan_is_in_it_and_nothing_where_nothing_is_to_do() -> None:
    said = "\n".join(typed(bare()))
    assert [path for path in SHALL.hosts["srv1"].files if path not in said] == []
    assert typed(THERE) == []


def test_a_removal_names_what_goes() -> None:
    hosts = leaving("shop", {"srv1": THERE | {"projects": ["shop"], "volumes": [{"name": "d", "project": "shop"}]}}, {"d"})
    gone = list(by_hand(replace(EMPTY, hosts=hosts), {}))
    assert (
        gone[1]
        == "srv1# cd /etc/deployctl/shop && docker compose --profile '*' rm -fsv && docker compose --profile '*' down && cd /"
    )
    assert "srv1# docker volume rm d" in gone and "srv1# nft delete table inet deployctl_shop" in gone
    assert gone[-1] == "srv1# rm /var/lib/deployctl/shop/record.json"
