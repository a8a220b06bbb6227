"""What each verb of the command starts."""

import argparse
import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any, TypeVar

import asyncpg
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from collector import api as http
from collector import database, keys, logs, migrate, serving, worker
from collector.settings import Settings, SettingsError, load

EXPECTED = (SettingsError, SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError, keys.KeyTrouble)


Answer = TypeVar("Answer")


def explain(error: Exception) -> list[str]:
    return str(error).splitlines() or [type(error).__name__]


def settled(service: str) -> Settings:
    settings = load()
    logs.configure(settings.log_level, service=service)
    return settings


def api(_: argparse.Namespace) -> None:
    settings = settled("api")
    serving.run(http.create_app(settings), settings)


def run_worker(_: argparse.Namespace) -> None:
    asyncio.run(worker.main(settled("worker")))


def openapi(_: argparse.Namespace) -> str:
    """Needs no settings: nothing is started."""
    return json.dumps(http.create_app(Settings()).openapi(), indent=2, ensure_ascii=False)


def db(arguments: argparse.Namespace) -> str:
    settings = settled("db")
    return json.dumps(asyncio.run({"upgrade": upgrade, "current": current}[arguments.action](settings)))


async def upgrade(settings: Settings) -> dict[str, Any]:
    return asdict(await migrate.upgrade_with(settings))


async def current(settings: Settings) -> dict[str, Any]:
    async def ask(engine: AsyncEngine) -> dict[str, Any]:
        async with engine.connect() as connection:
            return {"current": await connection.run_sync(migrate.revision), "newest": migrate.head()}

    return await with_engine(settings, ask)


async def with_engine(settings: Settings, ask: Callable[[AsyncEngine], Awaitable[Answer]]) -> Answer:
    engine = database.engine(settings, "collector-db", 10)
    try:
        return await ask(engine)
    finally:
        await engine.dispose()


def keys_verb(arguments: argparse.Namespace) -> str:
    """The new key, or JSON. The key goes to stdout and nowhere else."""
    settings = settled("keys")
    a = arguments
    asks: dict[str, Callable[[AsyncEngine], Awaitable[Any]]] = {
        "make": lambda engine: keys.make(engine, a.name, a.scope or sorted(keys.ALL), a.days),
        "rotate": lambda engine: keys.rotate(engine, a.name, a.keep_hours, a.days),
        "revoke": lambda engine: keys.revoke(engine, a.name),
        "list": keys.listed,
    }
    answer = asyncio.run(with_engine(settings, asks[a.action]))
    return answer if isinstance(answer, str) else json.dumps(answer)


VERBS: dict[str, Callable[[argparse.Namespace], str | None]] = {
    "api": api,
    "worker": run_worker,
    "db": db,
    "keys": keys_verb,
    "openapi": openapi,
}
