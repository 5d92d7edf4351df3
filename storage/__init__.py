"""What is remembered: a folder a subject, a file a noun, its tables and their queries together.

Every function here is a unit: plain and synchronous over a `Connection`, run by `Database.write` or `Database.read`.
Rules are constraints or one conditional statement, never a read followed by an insert.
"""
