"""Jobs and their rows."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "jobs",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("source_type", sa.Text, nullable=False),
        sa.Column("config", JSONB, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("error", sa.Text),
        sa.Column("row_count", sa.BigInteger),
        sa.Column("worker", sa.Text),
        sa.Column("lease_until", moment),
        sa.Column("created_at", moment, nullable=False, server_default=sa.func.now()),
        sa.Column("started_at", moment),
        sa.Column("finished_at", moment),
    )
    op.create_index("jobs_waiting", "jobs", ["created_at"], postgresql_where="state IN ('queued', 'running')")
    op.create_table(
        "job_rows",
        sa.Column("job_id", sa.Uuid, sa.ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("number", sa.BigInteger, primary_key=True),
        sa.Column("data", JSONB, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("job_rows")
    op.drop_table("jobs")
