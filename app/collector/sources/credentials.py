"""The secret of a job of type `api`: made into a header, and kept out of all that others see."""

import base64
import re
from collections.abc import Iterable

import orjson
from pydantic import SecretStr

from collector.sources import Context, SourceError
from collector.sources.api_config import Basic, Bearer, Config, Header

PLAIN = re.compile(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?")
SHORTEST = 6
"""A shorter secret may stand in an answer by chance."""


class Credentials:
    def __init__(self, config: Config, context: Context) -> None:
        auth = config.auth
        self.header: tuple[str, SecretStr] | None = None
        self.words: frozenset[str] = frozenset()
        if auth is not None:
            secret = context.secret(auth.secret).get_secret_value()
            if not PLAIN.fullmatch(secret) and not isinstance(auth, Basic):
                raise SourceError(f"config.auth.secret: a header cannot carry {auth.secret}: it must be printable ASCII")
            self.header = header(auth, secret)
            self.words = frozenset({secret, self.header[1].get_secret_value().rpartition(" ")[2]})

    def headers(self) -> list[tuple[str, str]]:
        return [(self.header[0], self.header[1].get_secret_value())] if self.header else []

    def hidden(self, text: str) -> str:
        """The text without the secret, whoever put it there."""
        for word in self.words:
            text = text.replace(word, "***")
        return text

    def refuse_echo(self, contents: Iterable[bytes]) -> None:
        """Raises SourceError if an answer repeats the secret: it would end in the results."""
        words = [orjson.dumps(word)[1:-1] for word in self.words if len(word) >= SHORTEST]
        words += [word.encode() for word in self.words if len(word) >= SHORTEST]
        for content in contents:
            if any(word in content for word in words):
                raise SourceError("the answer repeats the credential; it is refused")


def header(auth: Bearer | Basic | Header, secret: str) -> tuple[str, SecretStr]:
    match auth:
        case Bearer():
            return "Authorization", SecretStr(f"Bearer {secret}")
        case Basic():
            packed = base64.b64encode(f"{auth.username}:{secret}".encode()).decode()
            return "Authorization", SecretStr(f"Basic {packed}")
        case Header():
            return auth.name, SecretStr(secret)
