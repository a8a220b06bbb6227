"""What each verb of the command starts."""

import argparse
import asyncio
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import asyncpg
import uvicorn
from sqlalchemy.exc import SQLAlchemyError

from collector import api as http
from collector import database, logs, migrate, worker
from collector.settings import Settings, SettingsError, load

EXPECTED = (SettingsError, SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError)


def explain(error: Exception) -> list[str]:
    return str(error).splitlines() or [type(error).__name__]


def settled(service: str) -> Settings:
    settings = load()
    logs.configure(settings.log_level, service=service)
    return settings


def api(_: argparse.Namespace) -> None:
    settings = settled("api")
    uvicorn.run(
        http.create_app(settings),
        host=settings.listen_host,
        port=settings.listen_port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=settings.drain_seconds,
    )


def run_worker(_: argparse.Namespace) -> None:
    asyncio.run(worker.main(settled("worker")))


def db(arguments: argparse.Namespace) -> dict[str, Any]:
    settings = settled("db")
    return asyncio.run({"upgrade": upgrade, "current": current}[arguments.action](settings))


async def upgrade(settings: Settings) -> dict[str, Any]:
    return asdict(await migrate.upgrade_with(settings))


async def current(settings: Settings) -> dict[str, Any]:
    engine = database.engine(settings, "collector-db", 10)
    try:
        async with engine.connect() as connection:
            return {"current": await connection.run_sync(migrate.revision), "newest": migrate.head()}
    finally:
        await engine.dispose()


VERBS: dict[str, Callable[[argparse.Namespace], Any]] = {"api": api, "worker": run_worker, "db": db}
