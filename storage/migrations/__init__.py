"""The schema's history; `storage.database.opening.migrate` runs it."""
