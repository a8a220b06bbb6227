"""Who asks, may they, and not too often."""

import hmac
import time
from collections import OrderedDict
from dataclasses import dataclass
from http import HTTPStatus
from typing import NoReturn, TypeVar

from collector import keys, metrics
from collector.lookups import Lookups
from collector.problems import Problem
from collector.settings import Settings

Named = TypeVar("Named")
Value = TypeVar("Value")
MOST_CACHED = 10_000
STRANGER_BURST = 100
CHALLENGE = {"WWW-Authenticate": 'Bearer realm="collector"'}


@dataclass(frozen=True)
class Identity:
    name: str
    scopes: frozenset[str]


class Bucket:
    """A token bucket."""

    def __init__(self, rate: float, burst: int) -> None:
        self.rate, self.burst = rate, burst
        self.tokens, self.at = float(burst), time.monotonic()

    def take(self, now: float) -> float:
        """0 when there was a token, else the seconds until there is one."""
        self.tokens = min(self.burst, self.tokens + (now - self.at) * self.rate)
        self.at = now
        if self.tokens >= 1:
            self.tokens -= 1
            return 0.0
        return (1 - self.tokens) / self.rate


class Gate:
    """Remembers keys for some seconds, so that a request costs no second question to PostgreSQL."""

    def __init__(self, settings: Settings, lookups: Lookups) -> None:
        self.settings, self.lookups = settings, lookups
        self.known: OrderedDict[bytes, tuple[float, Identity | None]] = OrderedDict()
        self.buckets: OrderedDict[str, Bucket] = OrderedDict()
        self.strangers: OrderedDict[str, Bucket] = OrderedDict()

    async def admit(self, token: str | None, scope: str, address: str) -> Identity:
        """Who calls from that address. Raises Problem: 401, 403 or 429."""
        identity = await self.identify(token, address)
        limits = self.settings.rate_limit_per_second, self.settings.rate_limit_burst
        limit(self.buckets, identity.name, *limits, reason="rate")
        if scope not in identity.scopes:
            metrics.REFUSED.labels("scope").inc()
            raise Problem(HTTPStatus.FORBIDDEN, "scope-missing", f"The key {identity.name!r} lacks the scope {scope}.")
        return identity

    async def identify(self, token: str | None, address: str) -> Identity:
        if self.settings.authentication == "off":
            return Identity(keys.ANONYMOUS, keys.ALL)
        if not token:
            self.refuse("key-missing", "An API key is needed: Authorization: Bearer KEY, or X-API-Key: KEY.")
        identity = await self.find(keys.digest(token), address)
        if identity is None:
            self.refuse("key-unknown", "The API key is unknown, expired or revoked.")
        return identity

    def refuse(self, kind: str, detail: str) -> NoReturn:
        metrics.REFUSED.labels(kind).inc()
        raise Problem(HTTPStatus.UNAUTHORIZED, kind, detail, headers=CHALLENGE)

    async def find(self, sha256: bytes, address: str) -> Identity | None:
        admin = self.settings.admin_key_digest
        if admin is not None and hmac.compare_digest(admin, sha256):
            return Identity(keys.ADMIN, keys.ALL)
        now = time.monotonic()
        until, identity = self.known.get(sha256, (0.0, None))
        if until <= now:
            if identity is None:  # or who guesses keys would have PostgreSQL busy, and push the others out of what is known
                limit(self.strangers, address, self.settings.unknown_keys_per_second, STRANGER_BURST, reason="key-rate")
            row = await keys.find(self.lookups, sha256)
            identity = Identity(row.name, frozenset(row.scopes)) if row else None
            remember(self.known, sha256, (now + self.settings.key_cache_seconds, identity))
        return identity


def limit(buckets: "OrderedDict[str, Bucket]", name: str, rate: float, burst: int, reason: str) -> None:
    """Takes a token of that name's bucket. Raises Problem: 429."""
    if not rate:
        return
    bucket = buckets.get(name)
    if bucket is None:
        bucket = Bucket(rate, burst)
        remember(buckets, name, bucket)
    if wait := bucket.take(time.monotonic()):
        metrics.REFUSED.labels(reason).inc()
        headers = {"Retry-After": str(int(wait) + 1)}
        raise Problem(HTTPStatus.TOO_MANY_REQUESTS, "too-many-requests", f"{name}: too many requests.", headers=headers)


def remember(cache: "OrderedDict[Named, Value]", key: Named, value: Value) -> None:
    """The oldest goes when there are too many."""
    cache[key] = value
    if len(cache) > MOST_CACHED:
        cache.popitem(last=False)
