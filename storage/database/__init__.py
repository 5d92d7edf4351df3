"""Where units of work run: one writing connection on SQLite, pooled transactions on PostgreSQL."""

from storage.database.interface import Database
from storage.database.opening import open_database, parse_address, upgrade_schema

__all__ = ["Database", "open_database", "parse_address", "upgrade_schema"]
