"""Credentials by reference: the config names a secret, its value lies in the file source_<name> of a folder."""

import re
from collections.abc import Callable

from pydantic import SecretStr

from collector.sources import SourceError
from collector.sources.settings import SourceSettings

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


def reader(settings: SourceSettings) -> Callable[[str], SecretStr]:
    """Only files named source_* are given out, so a job cannot have the service's own passwords sent somewhere."""

    def read(name: str) -> SecretStr:
        if not NAME.fullmatch(name):
            raise SourceError(f"no secret can be named {name!r}")
        try:
            value = (settings.source_secrets / f"source_{name}").read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError):
            raise SourceError(f"there is no secret {name!r} here; an administrator can give one") from None
        return SecretStr(value)

    return read
