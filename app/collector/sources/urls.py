"""URLs, read once and strictly: what is judged is what is asked."""

import re
from dataclasses import dataclass, replace
from ipaddress import IPv6Address
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urljoin, urlsplit

NAME = re.compile(r"[A-Za-z0-9_]([-A-Za-z0-9_.]*[A-Za-z0-9_.])?")
PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Url:
    scheme: str
    host: str
    port: int
    path: str
    query: str

    @property
    def origin(self) -> tuple[str, str, int]:
        return self.scheme, self.host, self.port

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def target(self) -> str:
        return f"{self.path}?{self.query}" if self.query else self.path

    @property
    def shown(self) -> str:
        """Without the query: it may hold what nobody else shall see."""
        return f"{self.scheme}://{self.authority}{self.path}"

    def with_query(self, values: dict[str, Any]) -> "Url":
        """These parameters set; others of the same name go."""
        old = [(name, value) for name, value in parse_qsl(self.query, keep_blank_values=True) if name not in values]
        return replace(self, query=urlencode([*old, *values.items()], doseq=True)) if values else self

    def joined(self, text: str) -> "Url":
        """What `text` means at this place. Raises ValueError."""
        return parse(urljoin(f"{self.scheme}://{self.authority}{self.target}", text))


def parse(text: str) -> Url:
    """Raises ValueError, saying what is wrong without repeating the URL."""
    if not text.isprintable() or " " in text or "\\" in text:
        raise ValueError("a URL has no spaces, backslashes or control characters")
    parts = urlsplit(text)
    if parts.scheme not in PORTS:
        raise ValueError("a URL begins with http:// or https://")
    if "@" in parts.netloc:
        raise ValueError("a URL holds no user and no password; `auth` names the secret")
    path = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~")
    query = quote(parts.query, safe="/?%:@!$&'()*+,;=~[]")
    return Url(parts.scheme, host_of(parts.hostname), parts.port or PORTS[parts.scheme], path, query)


def host_of(text: str | None) -> str:
    if text and ":" in text:
        return str(IPv6Address(text))
    try:
        host = (text or "").encode("idna").decode()
    except UnicodeError:
        host = ""
    if not NAME.fullmatch(host):
        raise ValueError("a URL needs a host name")
    return host
