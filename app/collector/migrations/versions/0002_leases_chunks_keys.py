"""Expand: attempts and due times, results as chunks, API keys, the audit log, workers. What 0001 uses stays."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

revision = "0002"
down_revision = "0001"
kind = "expand"

MOMENT = sa.DateTime(timezone=True)
FILL_CHUNKS = """
INSERT INTO job_chunks (job_id, attempt, first, count, body)
SELECT job_id, 0, min(number), count(*), string_agg(data::text || E'\\n', '' ORDER BY number)
FROM job_rows GROUP BY job_id, (number - 1) / 1000
"""
FILL_ROWS = """
INSERT INTO job_rows (job_id, number, data)
SELECT job_id, first + line.place - 1, line.row::jsonb
FROM job_chunks, regexp_split_to_table(rtrim(body, E'\\n'), E'\\n') WITH ORDINALITY AS line(row, place)
ON CONFLICT DO NOTHING
"""


def columns() -> list[sa.Column[Any]]:
    return [
        sa.Column("attempt", sa.Integer, nullable=False, server_default="0"),
        sa.Column("max_attempts", sa.Integer, nullable=False, server_default="5"),
        sa.Column("due_at", MOMENT, nullable=False, server_default=sa.func.now()),
        sa.Column("published_at", MOMENT),
        sa.Column("cancel_requested", sa.Boolean, nullable=False, server_default="false"),
        sa.Column("progress", JSONB),
        sa.Column("requested_by", sa.Text),
        sa.Column("request_id", sa.Text),
        sa.Column("idempotency_key", sa.Text),
        sa.Column("expires_at", MOMENT),
        sa.Column("expired_at", MOMENT),
    ]


def upgrade() -> None:
    for column in columns():
        op.add_column("jobs", column)
    index_jobs()
    make_tables()
    op.execute("ALTER TABLE job_chunks ALTER COLUMN body SET COMPRESSION lz4")
    op.execute(FILL_CHUNKS)


def index_jobs() -> None:
    op.create_index("jobs_due", "jobs", ["due_at"], postgresql_where="state = 'queued'")
    op.create_index("jobs_leases", "jobs", ["lease_until"], postgresql_where="state = 'running'")
    op.create_index("jobs_newest", "jobs", [sa.text("created_at DESC"), sa.text("id DESC")])
    op.create_index("jobs_expiring", "jobs", ["expires_at"], postgresql_where="expired_at IS NULL")
    where = "idempotency_key IS NOT NULL"
    op.create_index("jobs_idempotency", "jobs", ["requested_by", "idempotency_key"], unique=True, postgresql_where=where)


def make_tables() -> None:
    op.create_table(
        "job_chunks",
        sa.Column("job_id", sa.Uuid, sa.ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("attempt", sa.Integer, primary_key=True),
        sa.Column("first", sa.BigInteger, primary_key=True),
        sa.Column("count", sa.Integer, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
    )
    op.create_table(
        "api_keys",
        sa.Column("digest", sa.LargeBinary, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("scopes", ARRAY(sa.Text), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False, server_default=sa.func.now()),
        sa.Column("expires_at", MOMENT),
        sa.Column("revoked_at", MOMENT),
    )
    op.create_table(
        "audit_log",
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=True),
        sa.Column("at", MOMENT, nullable=False, server_default=sa.func.now()),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("request_id", sa.Text),
    )
    op.create_table(
        "workers",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("started_at", MOMENT, nullable=False, server_default=sa.func.now()),
        sa.Column("beat_at", MOMENT, nullable=False, server_default=sa.func.now()),
        sa.Column("running", sa.Integer, nullable=False),
    )
    op.create_index("api_keys_name", "api_keys", ["name"])
    op.create_index("audit_log_at", "audit_log", ["at"])


def downgrade() -> None:
    """The rows go back to where 0001 looks for them. States that 0001 does not know become `failed`."""
    op.execute(FILL_ROWS)
    for table in ("workers", "audit_log", "api_keys", "job_chunks"):
        op.drop_table(table)
    op.execute("UPDATE jobs SET state = 'failed' WHERE state IN ('dead', 'cancelled')")
    for index in ("jobs_due", "jobs_leases", "jobs_newest", "jobs_expiring", "jobs_idempotency"):
        op.drop_index(index, "jobs")
    for column in columns():
        op.drop_column("jobs", column.name)
