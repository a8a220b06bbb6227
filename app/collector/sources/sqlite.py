"""SQLite: a file below the permitted folders, read-only, and no way from it to another file."""

import os
import sqlite3
from urllib.parse import quote

import aiosqlite
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from collector.sources import Context, SourceError
from collector.sources.generic import Dialect
from collector.sources.opening import open_below, real_path
from collector.sources.watching import Watch

READING = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE}
REFUSED = {"load_extension", "fts3_tokenizer"}
STEPS = 1000
"""Instructions of SQLite's machine between two looks at the clock."""


class Sqlite(Dialect):
    def __init__(self, path: str, context: Context, watch: Watch) -> None:
        self.path, self.watch, self.context = path, watch, context
        super().__init__(create_async_engine("sqlite+aiosqlite:///", poolclass=NullPool, async_creator=self.create))

    async def create(self) -> aiosqlite.Connection:
        return await aiosqlite.Connection(self.opened, iter_chunk_size=64)

    def opened(self) -> sqlite3.Connection:
        """Runs in the driver's thread. The file is judged before, and afterwards that it is the one which SQLite has open."""
        fd = open_below(self.path, self.context.settings.folders)
        try:
            real = real_path(fd)
            connection = sqlite3.connect(f"file:{quote(str(real))}?mode=ro", uri=True, timeout=1, check_same_thread=False)
            try:
                if not opened_elsewhere(fd):
                    raise SourceError(f"{self.path}: was exchanged while it was opened")
                self.restrict(connection)
            except BaseException:
                connection.close()
                raise
        finally:
            os.close(fd)
        return connection

    def restrict(self, connection: sqlite3.Connection) -> None:
        for name, value in (("query_only", 1), ("trusted_schema", 0), ("cell_size_check", 1), ("mmap_size", 0)):
            connection.execute(f"PRAGMA {name} = {value}")
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, self.context.settings.max_record_bytes)
        connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
        connection.set_authorizer(authorize)
        connection.set_progress_handler(lambda: int(self.watch.over()), STEPS)

    def may_pass(self, error: BaseException) -> bool:
        return getattr(error, "sqlite_errorname", "").startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))


def opened_elsewhere(fd: int) -> bool:
    """Whether the file of `fd` is open a second time in this process."""
    wanted, count = os.fstat(fd), 0
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208  # names, and as fast as it goes
        try:
            count += os.path.samestat(os.stat(f"/proc/self/fd/{name}"), wanted)  # noqa: PTH116
        except OSError:
            continue
    return count > 1


def authorize(action: int, first: str | None, second: str | None, database: str | None, trigger: str | None) -> int:
    """Reading alone: no ATTACH, no PRAGMA, nothing that writes. (SQLAlchemy asks for read_uncommitted as it connects.)"""
    if action in READING or (action == sqlite3.SQLITE_FUNCTION and (second or "").lower() not in REFUSED):
        return sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_PRAGMA and first == "read_uncommitted" and second is None:
        return sqlite3.SQLITE_OK
    return sqlite3.SQLITE_DENY
