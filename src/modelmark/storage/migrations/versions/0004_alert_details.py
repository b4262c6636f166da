"""What is known of alerts beside their story. A table of its own, for a row's digest is over all its columns."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "alert_details",
        sa.Column("alert", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=False),
        sa.Column("body", sa.Text, nullable=False),
    )
