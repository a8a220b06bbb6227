"""Whether a bundle was used at a site before: then neither a date nor a forgotten key stands in its way."""

from __future__ import annotations

from deploybundle.open import Head
from deploybundle.store import Store
from deployctl.apply import ask_facts
from deployctl.commands.verify import Admitted
from deployctl.site import Site


def used_before(site: Site, store: Store) -> Admitted:
    """Asks the deploy node's list, and where that is lost the hosts' records."""

    def admitted(head: Head) -> bool:
        if head.index_digest in {held.index_digest for held in store.list()}:
            return True
        facts, _ = ask_facts(site, site.targets, head.name)
        return any(head.index_digest in (about["record"] or {}).get("admitted", []) for about in facts.values())

    return admitted
