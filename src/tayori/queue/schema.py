"""The queue's tables: one schema for every engine.

`message.owner` is the worker that holds it (NULL: nobody, so that any may claim it); `due` is the time of
the next attempt in seconds since the epoch; `hold` is 0, 1 (on hold) or DOOMED; `content.body` is absent for
messages kept in a content file.
"""

from __future__ import annotations

VERSION = 1
DOOMED = 2
"""`message.hold` of a message that was deleted while a worker had it: it goes as soon as nobody has it."""

STATEMENTS = (
    "CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL)",
    """CREATE TABLE IF NOT EXISTS message (
        number INTEGER PRIMARY KEY,
        arrival REAL NOT NULL,
        sender TEXT NOT NULL,
        size INTEGER NOT NULL,
        attributes BLOB NOT NULL,
        owner INTEGER,
        due REAL NOT NULL,
        hold INTEGER NOT NULL DEFAULT 0)""",
    "CREATE INDEX IF NOT EXISTS message_due ON message (due) WHERE owner IS NULL AND hold = 0",
    """CREATE TABLE IF NOT EXISTS recipient (
        number INTEGER NOT NULL,
        n INTEGER NOT NULL,
        address TEXT NOT NULL,
        original TEXT NOT NULL,
        notify TEXT NOT NULL,
        orcpt TEXT NOT NULL,
        attempts INTEGER NOT NULL,
        due REAL NOT NULL,
        enhanced TEXT NOT NULL,
        reason TEXT NOT NULL,
        warned INTEGER NOT NULL,
        expanded INTEGER NOT NULL,
        member TEXT NOT NULL DEFAULT '',
        origin INTEGER NOT NULL DEFAULT 0,
        delivered TEXT NOT NULL DEFAULT '',
        PRIMARY KEY (number, n)) WITHOUT ROWID""",
    "CREATE TABLE IF NOT EXISTS content (number INTEGER PRIMARY KEY, body BLOB NOT NULL)",
)

INSERT_MESSAGE = (
    "INSERT INTO message (number, arrival, sender, size, attributes, owner, due, hold) VALUES (?,?,?,?,?,?,?,?)"
)
INSERT_CONTENT = "INSERT INTO content (number, body) VALUES (?,?)"
INSERT_RECIPIENT = (
    "INSERT OR REPLACE INTO recipient (number, n, address, original, notify, orcpt, attempts, due, enhanced, reason,"
    " warned, expanded, member, origin, delivered) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
)
ADDED = (
    ("recipient", "member", "ALTER TABLE recipient ADD COLUMN member TEXT NOT NULL DEFAULT ''"),
    ("recipient", "origin", "ALTER TABLE recipient ADD COLUMN origin INTEGER NOT NULL DEFAULT 0"),
    ("recipient", "delivered", "ALTER TABLE recipient ADD COLUMN delivered TEXT NOT NULL DEFAULT ''"),
)
"""Columns that files of earlier versions lack: table, column, how to add it."""
DELETE_RECIPIENT = "DELETE FROM recipient WHERE number = ? AND n = ?"
DELETE_ALL = (
    "DELETE FROM recipient WHERE number IN ({marks})",
    "DELETE FROM content WHERE number IN ({marks})",
    "DELETE FROM message WHERE number IN ({marks})",
)
SELECT_MESSAGES = "SELECT number, arrival, sender, size, attributes, owner, due, hold FROM message"
SELECT_RECIPIENTS = (
    "SELECT n, address, original, notify, orcpt, attempts, due, enhanced, reason, warned, expanded, member, origin,"
    " delivered FROM recipient WHERE number = ? ORDER BY n"
)
