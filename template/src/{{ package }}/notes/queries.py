"""The notes in PostgreSQL."""

from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import class_row

from .model import NewNote, Note

NEWEST = UUID(int=2**128 - 1)
COLUMNS = "id, text, author, created_at"


async def insert(connection: AsyncConnection, note: NewNote) -> Note:
    """Keeps a new note."""
    async with connection.cursor(row_factory=class_row(Note)) as cursor:
        await cursor.execute(
            f"INSERT INTO notes (text, author) VALUES (%s, %s) RETURNING {COLUMNS}", (note.text, note.author)
        )
        return (await cursor.fetchall())[0]


async def find(connection: AsyncConnection, note_id: UUID) -> Note | None:
    """The note with this id, or None."""
    async with connection.cursor(row_factory=class_row(Note)) as cursor:
        await cursor.execute(f"SELECT {COLUMNS} FROM notes WHERE id = %s", (note_id,))
        return await cursor.fetchone()


async def newest(connection: AsyncConnection, limit: int, before: UUID | None) -> list[Note]:
    """At most `limit` notes, newest first, older than the note `before`."""
    # Ids are UUIDs of version 7: they ascend with time.
    async with connection.cursor(row_factory=class_row(Note)) as cursor:
        await cursor.execute(
            f"SELECT {COLUMNS} FROM notes WHERE id < %s ORDER BY id DESC LIMIT %s", (before or NEWEST, limit)
        )
        return await cursor.fetchall()


async def delete(connection: AsyncConnection, note_id: UUID) -> bool:
    """Deletes a note; False when there was none."""
    return (await connection.execute("DELETE FROM notes WHERE id = %s", (note_id,))).rowcount == 1
