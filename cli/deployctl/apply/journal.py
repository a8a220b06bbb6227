"""The journal on the deploy node: which runs there were, and their steps. It can be lost; the hosts' records are the truth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from sqlalchemy import ForeignKey, create_engine, select
from sqlalchemy.exc import DatabaseError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from deploybundle.errors import DeployctlError, InputError, SiteError

SCHEMA = 1
"""Kept in SQLite's `user_version`; a later version migrates an older file when it opens it."""


class JournalTooNew(SiteError):
    """A later deployctl wrote the journal.

    Use the newer deployctl. Or move the journal away: it is only the story, the hosts' records are the truth.
    """

    code = "journal-too-new"


class JournalUnusable(InputError):
    """The journal on this machine cannot be written or read: a read-only or full disk, or a damaged file.

    Look at the path that is named: `ls -l`, `df`. A damaged journal may be moved away: it is only the story, the hosts' records
    are the truth.
    """

    code = "journal-unusable"


class Base(DeclarativeBase):
    """The tables of the journal."""


class Run(Base):
    """One command that changed the site, or tried to. `outcome` is empty while it runs, or if it died."""

    __tablename__ = "runs"

    id: Mapped[str] = mapped_column(primary_key=True)
    command: Mapped[str]
    project: Mapped[str]
    version: Mapped[str]
    bundle: Mapped[str]
    epoch: Mapped[int]
    started: Mapped[str]
    ended: Mapped[str] = mapped_column(default="")
    outcome: Mapped[str] = mapped_column(default="")
    message: Mapped[str] = mapped_column(default="")


class Step(Base):
    """One task on one host, at its end."""

    __tablename__ = "steps"

    id: Mapped[int] = mapped_column(primary_key=True)
    run: Mapped[str] = mapped_column(ForeignKey("runs.id"), index=True)
    host: Mapped[str]
    task: Mapped[str]
    outcome: Mapped[str]
    changed: Mapped[bool]
    seconds: Mapped[float]
    ended: Mapped[str]
    message: Mapped[str] = mapped_column(default="")


class Journal:
    """The journal in one SQLite file, opened for a `with` block. Times are UTC, ISO 8601."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
        self.path = path
        self._engine = create_engine(f"sqlite:///{path}")
        try:
            with self._told():
                self._prepare()
        except DeployctlError:
            self._engine.dispose()
            raise

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._engine.dispose()

    def begin(self, run: str, command: str, *, project: str, version: str, bundle: str, epoch: int) -> None:
        """A run starts."""
        with self._session() as session:
            session.add(
                Run(
                    id=run, command=command, project=project, version=version, bundle=bundle, epoch=epoch, started=now(),
                )
            )  # fmt: skip

    def event(self, run: str, event: Mapping[str, Any]) -> None:
        """Write a step down; other events than a task's end are left out."""
        if event["event"] not in ("ok", "failed", "unreachable"):
            return
        with self._session() as session:
            session.add(
                Step(
                    run=run, host=event["host"], task=event["task"], outcome=event["event"], changed=event["changed"],
                    seconds=event["seconds"], ended=now(), message=event.get("message", ""),
                )
            )  # fmt: skip

    def end(self, run: str, outcome: str, message: str = "") -> None:
        """A run is over: done, failed, interrupted."""
        with self._session() as session:
            found = session.get_one(Run, run)
            found.ended, found.outcome, found.message = now(), outcome, message

    def runs(self, limit: int = 20) -> list[Run]:
        """The latest runs, newest first."""
        with self._session() as session:
            return list(session.scalars(select(Run).order_by(Run.started.desc()).limit(limit)))

    def unfinished(self, project: str) -> Run | None:
        """The last run of a product, unless it ended well."""
        latest = select(Run).where(Run.project == project).order_by(Run.started.desc()).limit(1)
        with self._session() as session:
            run = session.scalars(latest).first()
            return run if run is not None and run.outcome != "done" else None

    def settle(self, run: str, command: str, project: str, version: str) -> None:
        """Nothing was left to do: where the last run did not end well, one that did is written after it."""
        if self.unfinished(project):
            self.begin(run, command, project=project, version=version, bundle="", epoch=0)
            self.end(run, "done")

    def steps(self, run: str) -> list[Step]:
        """The steps of a run, in order."""
        with self._session() as session:
            return list(session.scalars(select(Step).where(Step.run == run).order_by(Step.id)))

    @contextmanager
    def _session(self) -> Iterator[Session]:
        with self._told(), Session(self._engine, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except DatabaseError as problem:
            hint = "look at that file and its disk; a damaged journal may be moved away"
            raise JournalUnusable(str(problem.orig), place=str(self.path), hint=hint) from problem

    def _prepare(self) -> None:
        with self._engine.begin() as connection:
            version = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
            if version > SCHEMA:
                hint = "use the newer deployctl, or move the file away: the hosts' records are the truth"
                raise JournalTooNew(f"schema {version}, expected {SCHEMA} at most", place=str(self.path), hint=hint)
            Base.metadata.create_all(connection)
            connection.exec_driver_sql(f"PRAGMA user_version = {SCHEMA}")


def now() -> str:
    """The time, in UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
