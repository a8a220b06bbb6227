"""A release, from a bundle or from a project's folder: verbs that only ask take either."""

from __future__ import annotations

import tempfile
from pathlib import Path

from deploybundle.pack import read_release
from deploybundle.release import Release
from deploybundle.sources import compose_binary
from deployctl.apply import read_at_site
from deployctl.commands.verify import trusted
from deployctl.site import Site


def release_of(path: Path, site: Site, key: Path | None) -> Release:
    """The release of a bundle with the client's answers, or of a folder with the defaults."""
    if path.is_dir():
        return read_release(path, compose_binary())
    bundle = trusted(path, key)
    with tempfile.TemporaryDirectory(prefix="deployctl-") as folder:
        return read_at_site(bundle, site, Path(folder).resolve() / bundle.name)
