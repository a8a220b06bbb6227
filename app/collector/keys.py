"""API keys. Only their SHA-256 is kept: a key has 256 random bits, so a slow hash would add nothing but time."""

import hashlib
import secrets
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import bindparam, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from collector import jobs, lookups
from collector.jobs import Caller
from collector.lookups import Lookups, Record
from collector.models import Key

KEYS = Key.__table__.c
PREFIX = "ck_"
OPERATOR = Caller("collector keys")
ANONYMOUS, ADMIN = RESERVED = ("anonymous", "admin")


class Scope(StrEnum):
    JOBS_READ = "jobs:read"
    JOBS_WRITE = "jobs:write"
    RESULTS_READ = "results:read"


ALL = frozenset(Scope)


class KeyTrouble(Exception):
    """Asked for a key that is not there, or is there already: whoever runs the command must act."""


def digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


def valid() -> Any:
    return KEYS.revoked_at.is_(None) & or_(KEYS.expires_at.is_(None), KEYS.expires_at > func.now())


VALID = lookups.statement(select(KEYS.name, KEYS.scopes).where(KEYS.digest == bindparam("digest"), valid()))


async def find(lookups: Lookups, sha256: bytes) -> Record | None:
    """Name and scopes of the key; None when it is unknown, expired or revoked."""
    return await lookups.one(VALID, sha256)


async def make(engine: AsyncEngine, name: str, scopes: list[str], days: float | None) -> str:
    """The new key: shown once, kept nowhere. Raises KeyTrouble when the name has one, or is one of ours."""
    if name in RESERVED:
        raise KeyTrouble(f"{name!r} is who asks with the administrator's key, or without one: choose another name")
    async with engine.begin() as connection:
        if await connection.scalar(select(func.count()).where(KEYS.name == name, valid())):
            raise KeyTrouble(f"there is a key named {name!r}: rotate it, or revoke it first")
        return await added(connection, name, scopes, timedelta(days=days) if days else None, "key-make")


async def added(connection: AsyncConnection, name: str, scopes: list[str], life: timedelta | None, action: str) -> str:
    key = PREFIX + secrets.token_urlsafe(32)
    expires = func.now() + life if life else None
    await connection.execute(insert(Key).values(digest=digest(key), name=name, scopes=scopes, expires_at=expires))
    await jobs.note(connection, OPERATOR, action, name)
    return key


async def rotate(engine: AsyncEngine, name: str, keep_hours: float, days: float | None) -> str:
    """A new key of the same name and scopes, for so many days (0: for ever; None: for as long as the newest was made for); the
    old ones hold for some hours more. Raises KeyTrouble."""
    newest = select(KEYS.scopes, (KEYS.expires_at - KEYS.created_at).label("life")).where(KEYS.name == name, valid())
    async with engine.begin() as connection:
        old = (await connection.execute(newest.order_by(KEYS.created_at.desc()).limit(1))).one_or_none()
        if old is None:
            raise KeyTrouble(f"there is no valid key named {name!r}")
        until = func.least(func.now() + timedelta(hours=keep_hours), KEYS.expires_at)
        await connection.execute(update(Key).where(KEYS.name == name, valid()).values(expires_at=until))
        life = old.life if days is None else timedelta(days=days)
        return await added(connection, name, list(old.scopes), life, "key-rotate")


async def revoke(engine: AsyncEngine, name: str) -> int:
    """How many keys of that name were valid until now. Raises KeyTrouble when none was."""
    async with engine.begin() as connection:
        done = await connection.execute(update(Key).where(KEYS.name == name, valid()).values(revoked_at=func.now()))
        if not done.rowcount:
            raise KeyTrouble(f"there is no valid key named {name!r}")
        await jobs.note(connection, OPERATOR, "key-revoke", name)
        return int(done.rowcount)


async def listed(engine: AsyncEngine) -> list[dict[str, Any]]:
    """Every key ever made; no key itself."""
    columns = KEYS.name, KEYS.scopes, KEYS.created_at, KEYS.expires_at, KEYS.revoked_at
    found = await jobs.read(engine, select(*columns).order_by(KEYS.name, KEYS.created_at))
    return [{name: plain(value) for name, value in row._mapping.items()} for row in found]


def plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value
