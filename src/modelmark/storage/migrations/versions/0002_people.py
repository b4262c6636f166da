"""People: accounts, keys, sessions, remarks; tickets that work once; messages by role."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    serial = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.add_column("approvals", sa.Column("nonce", sa.String(64)))
    op.create_index("approvals_nonce", "approvals", ["nonce"], unique=True)
    op.add_column("outbox", sa.Column("audience", sa.String(32), nullable=False, server_default=""))
    op.create_table(
        "remarks",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("version", sa.String(71), nullable=False, index=True),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
    )
    op.create_table(
        "accounts",
        sa.Column("login", sa.String(63), primary_key=True),
        sa.Column("body", sa.Text, nullable=False),
    )
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("login", sa.String(63), nullable=False, index=True),
        sa.Column("digest", sa.String(64), nullable=False, unique=True),
        sa.Column("body", sa.Text, nullable=False),
    )
    op.create_table(
        "sessions",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("login", sa.String(63), nullable=False, index=True),
        sa.Column("body", sa.Text, nullable=False),
    )
    op.create_table(
        "sign_in_failures",
        sa.Column("id", serial, primary_key=True, autoincrement=True),
        sa.Column("login", sa.String(63), nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
    )
    op.create_index("sign_in_failures_recent", "sign_in_failures", ["login", "at"])
