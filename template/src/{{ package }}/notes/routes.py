"""The notes over HTTP."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, HTTPException, Query, Request, Response

from ..web.context import Database, link
from . import queries
from .model import NewNote, Note, Page

router = APIRouter(prefix="/notes", tags=["notes"])


@router.post("", status_code=201)
async def create_note(new: NewNote, database: Database, request: Request, response: Response) -> Note:
    """Keeps a note; its address is in the Location header."""
    async with database.connection() as connection:
        note = await queries.insert(connection, new)
    response.headers["Location"] = link(request, f"/notes/{note.id}")
    return note


@router.get("")
async def list_notes(
    database: Database, limit: Annotated[int, Query(ge=1, le=100)] = 20, before: UUID | None = None
) -> Page:
    """Lists the notes, newest first."""
    async with database.connection() as connection:
        notes = await queries.newest(connection, limit, before)
    return Page(items=notes, next=notes[-1].id if len(notes) == limit else None)


@router.get("/{note_id}")
async def read_note(note_id: UUID, database: Database) -> Note:
    """Reads one note."""
    async with database.connection() as connection:
        note = await queries.find(connection, note_id)
    if note is None:
        raise HTTPException(404, "There is no such note.")
    return note


@router.delete("/{note_id}", status_code=204)
async def delete_note(note_id: UUID, database: Database) -> None:
    """Deletes one note."""
    async with database.connection() as connection:
        if not await queries.delete(connection, note_id):
            raise HTTPException(404, "There is no such note.")
