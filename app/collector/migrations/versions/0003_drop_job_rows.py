"""Contract: the rows of 0001 go; 0002 has copied them into chunks. No version that reads job_rows was ever released."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0003"
down_revision = "0002"
kind = "contract"


def upgrade() -> None:
    op.drop_table("job_rows")


def downgrade() -> None:
    """Empty: 0002's downgrade fills it from the chunks."""
    op.create_table(
        "job_rows",
        sa.Column("job_id", sa.Uuid, sa.ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("number", sa.BigInteger, primary_key=True),
        sa.Column("data", JSONB, nullable=False),
    )
