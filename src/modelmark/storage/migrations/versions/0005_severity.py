"""How loud a message is."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("outbox", sa.Column("severity", sa.String(16), nullable=False, server_default=""))
