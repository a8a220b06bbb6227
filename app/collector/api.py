"""The HTTP service."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from collector import contract, endpoints, fetching, migrate, parts, problems, wellness
from collector.access import Access
from collector.settings import Settings


def create_app(settings: Settings) -> FastAPI:
    draining = asyncio.Event()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.parts = await parts.make(settings, draining)
        if settings.migrate_on_start:
            await migrate.upgrade_with(settings)
        yield
        await app.state.parts.close()

    app = FastAPI(title="Data Collection Service", version=settings.version, lifespan=lifespan)
    app.state.draining = draining
    for router in (endpoints.router, fetching.router, wellness.router):
        app.include_router(router)
    app.add_middleware(Access, settings=settings, draining=draining)
    problems.install(app)
    contract.install(app)
    return app
