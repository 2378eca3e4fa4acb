"""What a note is."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, Field, StringConstraints

# PostgreSQL's text holds every character but NUL.
Text = Annotated[str, StringConstraints(min_length=1, max_length=10_000, pattern=r"^[^\x00]*$")]
Email = Annotated[str, StringConstraints(max_length=254, pattern=r"^[^@\s\x00]+@[^@\s\x00]+$")]


class NewNote(BaseModel):
    """A note as a client sends it."""

    text: Text
    author: Email | None = Field(None, description="The e-mail address of the person who wrote it.")


class Note(NewNote):
    """A note as it is kept."""

    id: UUID
    created_at: datetime


class Page(BaseModel):
    """A part of the notes, newest first; `next` goes into `before` to get the part after it."""

    items: list[Note]
    next: UUID | None
