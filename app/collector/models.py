"""The tables. A job is in PostgreSQL before anything else knows of it."""

import uuid
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, Boolean, DateTime, ForeignKey, Index, Integer, LargeBinary, MetaData, Text, Uuid, func, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

Moment = DateTime(timezone=True)


class State(StrEnum):
    """`failed`: trying again would not help; `dead`: it was tried as often as permitted. Both can be retried by hand."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    DEAD = "dead"
    CANCELLED = "cancelled"


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention={"pk": "%(table_name)s_pkey", "fk": "%(table_name)s_%(column_0_name)s_fkey"})


class Job(Base):
    """`attempt` counts the claims and fences them: only who holds the newest may end the job. `published_at`: when it was last
    put into Redis; `due_at`: not before. `expires_at`: when its rows are removed; `expired_at`: they have been."""

    __tablename__ = "jobs"
    __table_args__ = (
        Index("jobs_waiting", "created_at", postgresql_where="state IN ('queued', 'running')"),
        Index("jobs_due", "due_at", postgresql_where="state = 'queued'"),
        Index("jobs_leases", "lease_until", postgresql_where="state = 'running'"),
        Index("jobs_newest", text("created_at DESC"), text("id DESC")),
        Index("jobs_expiring", "expires_at", postgresql_where="expired_at IS NULL"),
        Index(
            "jobs_idempotency",
            "requested_by",
            "idempotency_key",
            unique=True,
            postgresql_where="idempotency_key IS NOT NULL",
        ),
    )

    id: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True, default=uuid.uuid4)
    source_type: Mapped[str] = mapped_column(Text)
    config: Mapped[dict[str, Any]] = mapped_column(JSONB)
    state: Mapped[str] = mapped_column(Text, default=State.QUEUED)
    error: Mapped[str | None] = mapped_column(Text)
    row_count: Mapped[int | None] = mapped_column(BigInteger)
    worker: Mapped[str | None] = mapped_column(Text)
    lease_until: Mapped[datetime | None] = mapped_column(Moment)
    created_at: Mapped[datetime] = mapped_column(Moment, server_default=func.now())
    started_at: Mapped[datetime | None] = mapped_column(Moment)
    finished_at: Mapped[datetime | None] = mapped_column(Moment)
    attempt: Mapped[int] = mapped_column(Integer, server_default="0")
    max_attempts: Mapped[int] = mapped_column(Integer, server_default="5")
    due_at: Mapped[datetime] = mapped_column(Moment, server_default=func.now())
    published_at: Mapped[datetime | None] = mapped_column(Moment)
    cancel_requested: Mapped[bool] = mapped_column(Boolean, server_default="false")
    progress: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    requested_by: Mapped[str | None] = mapped_column(Text)
    request_id: Mapped[str | None] = mapped_column(Text)
    idempotency_key: Mapped[str | None] = mapped_column(Text)
    expires_at: Mapped[datetime | None] = mapped_column(Moment)
    expired_at: Mapped[datetime | None] = mapped_column(Moment)


class Chunk(Base):
    """Up to 1,000 collected rows, one JSON object a line, as the source gave them; `first` numbers the first one, from 1."""

    __tablename__ = "job_chunks"

    job_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    attempt: Mapped[int] = mapped_column(Integer, primary_key=True)
    first: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    count: Mapped[int] = mapped_column(Integer)
    body: Mapped[str] = mapped_column(Text)


class Key(Base):
    """An API key: its SHA-256 only. Several keys of one name are one caller while it rotates."""

    __tablename__ = "api_keys"
    __table_args__ = (Index("api_keys_name", "name"),)

    digest: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    created_at: Mapped[datetime] = mapped_column(Moment, server_default=func.now())
    expires_at: Mapped[datetime | None] = mapped_column(Moment)
    revoked_at: Mapped[datetime | None] = mapped_column(Moment)


class Audit(Base):
    """Who changed what: written in the transaction of the change."""

    __tablename__ = "audit_log"
    __table_args__ = (Index("audit_log_at", "at"),)

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    at: Mapped[datetime] = mapped_column(Moment, server_default=func.now())
    actor: Mapped[str] = mapped_column(Text)
    action: Mapped[str] = mapped_column(Text)
    subject: Mapped[str] = mapped_column(Text)
    request_id: Mapped[str | None] = mapped_column(Text)


class WorkerBeat(Base):
    """A worker's last sign of life; removed when it stops."""

    __tablename__ = "workers"

    name: Mapped[str] = mapped_column(Text, primary_key=True)
    version: Mapped[str] = mapped_column(Text)
    started_at: Mapped[datetime] = mapped_column(Moment, server_default=func.now())
    beat_at: Mapped[datetime] = mapped_column(Moment, server_default=func.now())
    running: Mapped[int] = mapped_column(Integer)
