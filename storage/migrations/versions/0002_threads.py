"""Threads between people."""

import sqlalchemy as sa
from alembic import op

from storage.database.columns import UTCDateTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_column("conversation_member", "last_read_seq")
    op.create_table(
        "thread",
        sa.Column("conversation_id", sa.Uuid(), nullable=False),
        sa.Column("visibility", sa.String(), nullable=False),
        sa.Column("locked", sa.Boolean(), nullable=False),
        sa.Column("archived", sa.Boolean(), nullable=False),
        sa.Column("active_at", UTCDateTime(), nullable=False),
        sa.CheckConstraint("visibility IN ('everyone', 'members')", name=op.f("ck_thread_visibility")),
        sa.ForeignKeyConstraint(
            ["conversation_id"], ["conversation.id"], name=op.f("fk_thread_conversation_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("conversation_id", name=op.f("pk_thread")),
    )
    op.create_index("ix_thread_activity", "thread", ["visibility", "active_at", "conversation_id"], unique=False)
    for name in ("edited_at", "deleted_at", "hidden_at", "pinned_at"):
        op.add_column("message", sa.Column(name, UTCDateTime(), nullable=True))
    op.create_index(
        "ix_message_pinned",
        "message",
        ["conversation_id"],
        unique=False,
        sqlite_where=sa.text("pinned_at IS NOT NULL"),
        postgresql_where=sa.text("pinned_at IS NOT NULL"),
    )
    op.create_table(
        "message_revision",
        sa.Column("message_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("content", sa.String(), nullable=False),
        sa.Column("replaced_at", UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["message_id"], ["message.id"], name=op.f("fk_message_revision_message_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("message_id", "number", name=op.f("pk_message_revision")),
    )
    op.create_table(
        "read_position",
        sa.Column("conversation_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["conversation_id"], ["conversation.id"], name=op.f("fk_read_position_conversation_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name=op.f("fk_read_position_user_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("conversation_id", "user_id", name=op.f("pk_read_position")),
    )
    op.create_index(op.f("ix_read_position_user_id"), "read_position", ["user_id"], unique=False)
    op.create_table(
        "access_log",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("conversation_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("slot", sa.Integer(), nullable=False),
        sa.Column("message_id", sa.Uuid(), nullable=True),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("access_time", UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["conversation_id"], ["conversation.id"], name=op.f("fk_access_log_conversation_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name=op.f("fk_access_log_user_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_access_log")),
        sa.UniqueConstraint(
            "user_id", "conversation_id", "slot", name=op.f("uq_access_log_user_id_conversation_id_slot")
        ),
    )
    op.create_index("ix_access_log_newest", "access_log", ["conversation_id", "id"], unique=False)
    op.create_table(
        "reaction",
        sa.Column("message_id", sa.Uuid(), nullable=False),
        sa.Column("emoji", sa.String(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("reacted_at", UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["message_id"], ["message.id"], name=op.f("fk_reaction_message_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name=op.f("fk_reaction_user_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("message_id", "emoji", "user_id", name=op.f("pk_reaction")),
    )
    op.create_index(op.f("ix_reaction_user_id"), "reaction", ["user_id"], unique=False)
    op.create_table(
        "mention",
        sa.Column("message_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("conversation_id", sa.Uuid(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["message_id"], ["message.id"], name=op.f("fk_mention_message_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name=op.f("fk_mention_user_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("message_id", "user_id", name=op.f("pk_mention")),
    )
    op.create_index("ix_mention_of_person", "mention", ["user_id", "conversation_id", "seq"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_mention_of_person", table_name="mention")
    op.drop_table("mention")
    op.drop_index(op.f("ix_reaction_user_id"), table_name="reaction")
    op.drop_table("reaction")
    op.drop_index("ix_access_log_newest", table_name="access_log")
    op.drop_table("access_log")
    op.drop_index(op.f("ix_read_position_user_id"), table_name="read_position")
    op.drop_table("read_position")
    op.drop_table("message_revision")
    op.drop_index("ix_thread_activity", table_name="thread")
    op.execute("DELETE FROM conversation WHERE kind = 'thread'")
    op.drop_index(
        "ix_message_pinned",
        table_name="message",
        sqlite_where=sa.text("pinned_at IS NOT NULL"),
        postgresql_where=sa.text("pinned_at IS NOT NULL"),
    )
    for name in ("pinned_at", "hidden_at", "deleted_at", "edited_at"):
        op.drop_column("message", name)
    op.drop_table("thread")
    op.add_column(
        "conversation_member", sa.Column("last_read_seq", sa.Integer(), nullable=False, server_default=sa.text("0"))
    )
