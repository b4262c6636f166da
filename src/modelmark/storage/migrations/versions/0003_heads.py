"""Signed heads of the audit chain and of the journal."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "heads",
        sa.Column("name", sa.String(63), primary_key=True),
        sa.Column("body", sa.Text, nullable=False),
    )
