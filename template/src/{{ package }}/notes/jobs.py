"""What is done with notes later."""

from __future__ import annotations

from ..jobs import Work, job

ARCHIVE_AFTER_DAYS = 90
ARCHIVE = """
    UPDATE notes SET archived_at = now()
    WHERE archived_at IS NULL AND created_at < now() - make_interval(days => %s)
"""


@job()
async def count_words(work: Work, note_id: str) -> None:
    """Counts the words of a note; one that was deleted meanwhile has none."""
    cursor = await work.connection.execute("SELECT text FROM notes WHERE id = %s", (note_id,))
    for (text,) in await cursor.fetchall():
        await work.connection.execute("UPDATE notes SET words = %s WHERE id = %s", (len(text.split()), note_id))


@job(cron="30 3 * * *")
async def archive_old(work: Work) -> None:
    """Takes old notes off the list, each night."""
    await work.connection.execute(ARCHIVE, (ARCHIVE_AFTER_DAYS,))
