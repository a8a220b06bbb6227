"""What a person should know before an install, and may decide to accept: it stops nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from deployctl.desired import Desired

Facts = Mapping[str, Any]


def warnings(desired: Desired, facts: Mapping[str, Facts], inventory: Collection[str]) -> list[str]:
    """Sentences with the place first."""
    return [*_accounts(desired, facts), *_lost_hosts(desired, facts, inventory)]


def _accounts(desired: Desired, facts: Mapping[str, Facts]) -> Iterator[str]:
    """A container's user is the host's of the same number. Refusing would leave no way out: the number is the image's."""
    for name, host in desired.hosts.items():
        accounts = facts[name].get("accounts", {})
        for service, user in host.users.items():
            if user in accounts:
                yield (
                    f"{name}: {service} runs as user {user}, which is {accounts[user]} on that host: {accounts[user]} may stop"
                    " its processes and read their memory"
                )


def _lost_hosts(desired: Desired, facts: Mapping[str, Facts], inventory: Collection[str]) -> Iterator[str]:
    said = {name: at for about in facts.values() for name, at in ((about["record"] or {}).get("hosts") or {}).items()}
    for name, address in sorted(said.items()):
        if name not in inventory:
            yield (
                f"{name} ({address}) had a part of {desired.project} and is no longer in the inventory: what runs there goes on"
                " running. Put it back and install again, or remove it by hand: /etc/deployctl/README there says how"
            )
