"""Sabotages of factor VI, processes."""

from . import Edit, Sabotage

ROUTES = "src/orders/notes/routes.py"
QUERIES = "src/orders/notes/queries.py"
JOBS = "src/orders/notes/jobs.py"

ROUTER = 'router = APIRouter(prefix="/notes", tags=["notes"])\n'
CREATED = """    response.headers["Location"] = link(request, f"/notes/{note.id}")
"""
FOUND = """        note = await queries.find(connection, note_id)
"""
FOUND_IN_MEMORY = """        note = KEPT.get(note_id) or await queries.find(connection, note_id)
        if note:
            KEPT[note_id] = note
"""
FIRST_WITH_ID = '@router.get("/{note_id}")\n'
PINS = """@router.put("/{note_id}/pin", status_code=204)
async def pin_note(note_id: UUID) -> None:
    \"\"\"Pins a note.\"\"\"
    PINNED.add(note_id)


@router.get("/pinned")
async def pinned_notes() -> list[UUID]:
    \"\"\"Lists the notes that are pinned.\"\"\"
    return sorted(PINNED)


"""
DELETED = """    await cache.delete(cache_key(note_id))
"""
LISTED = """        notes = await queries.newest(connection, limit, before)
"""
LISTED_FROM_MEMORY = """        await queries.newest(connection, limit, before)
    notes = sorted(KEPT.values(), key=lambda note: note.id, reverse=True)[:limit]
"""
INSERTED = """        note = await queries.insert(connection, new)
"""
UPLOAD = """    Path("uploads").mkdir(exist_ok=True)
    Path("uploads", f"{note.id}.txt").write_text(note.text)
"""
INSERTED_SHORT = """        note = await queries.insert(connection, new.model_copy(update={"text": new.text[:1000]}))
    if len(new.text) > 1000:
        Path("uploads").mkdir(exist_ok=True)
        Path("uploads", f"{note.id}.txt").write_text(new.text)
        note = note.model_copy(update={"text": new.text})
"""
NOT_FOUND = """        note = await queries.find(connection, note_id)
    if note is None:
        raise HTTPException(404, "There is no such note.")
"""
READ_LONG = """    if (file := Path("uploads", f"{note_id}.txt")).exists():
        note = note.model_copy(update={"text": file.read_text()})
"""
INSERTED_WITH_FILE = """        async with connection.transaction():
            note = await queries.insert(connection, new)
            (request.app.state.settings.heartbeat_dir / f"{note.id}.txt").write_text(note.text)
"""
SELECTED = """    for (text,) in await cursor.fetchall():
        await work.connection.execute("UPDATE"""
SELECTED_WITH_FILE = """    for (_,) in await cursor.fetchall():
        text = (work.resources.postgres._settings.heartbeat_dir / f"{note_id}.txt").read_text()
        await work.connection.execute("UPDATE"""
ARCHIVED = """    await work.connection.execute(ARCHIVE, (ARCHIVE_AFTER_DAYS,))
"""
ARCHIVED_TO_FILE = """    cursor = await work.connection.execute(
        "DELETE FROM notes WHERE created_at < now() - make_interval(days => %s) RETURNING id::text, text",
        (ARCHIVE_AFTER_DAYS,),
    )
    Path("archive").mkdir(exist_ok=True)
    with Path("archive", "notes.jsonl").open("a") as archive:
        for note_id, text in await cursor.fetchall():
            archive.write(json.dumps({"id": note_id, "text": text}) + "\\n")
"""
FIND = """    async with connection.cursor(row_factory=class_row(Note)) as cursor:
        await cursor.execute(f"SELECT {COLUMNS} FROM notes WHERE id = %s", (note_id,))
        return await cursor.fetchone()
"""
FIND_ONCE = """    if note_id not in _found:
        async with connection.cursor(row_factory=class_row(Note)) as cursor:
            await cursor.execute(f"SELECT {COLUMNS} FROM notes WHERE id = %s", (note_id,))
            if (note := await cursor.fetchone()) is None:
                return None
            _found[note_id] = note
    return _found[note_id]
"""
DELETE = """    return (await connection.execute("DELETE FROM notes WHERE id = %s", (note_id,))).rowcount == 1
"""
READ = 'async def read_note(note_id: UUID, database: Database, cache: Copies) -> Note:\n    """Reads one note."""\n'
READ_IF_UNKNOWN = '''async def read_note(
    note_id: UUID, database: Database, cache: Copies, request: Request, response: Response
) -> Note:
    """Reads one note."""
    response.headers["ETag"] = f'"{note_id}"'
    if request.headers.get("If-None-Match") == response.headers["ETag"]:
        return Response(status_code=304)
'''
READ_FOR_A_DAY = '''async def read_note(note_id: UUID, database: Database, cache: Copies, response: Response) -> Note:
    """Reads one note."""
    response.headers["Cache-Control"] = "public, max-age=86400"
'''
LIST = """    async with database.connection() as connection:
        notes = await queries.newest(connection, limit, before)
    return Page("""
LIST_OF_A_MOMENT = """    now = time.monotonic()
    if (limit, before) not in KEPT or now - KEPT[limit, before][0] > 2:
        async with database.connection() as connection:
            KEPT[limit, before] = now, await queries.newest(connection, limit, before)
    notes = KEPT[limit, before][1]
    return Page("""
LIST_TEXT = '    """Lists the notes, newest first."""\n'
PAGE = """    return Page(items=notes, next=notes[-1].id if len(notes) == limit else None)
"""
CREATE_TEXT = '    """Keeps a note; its address is in the Location header."""\n'
COUNTED = """    who = request.client.host if request.client else "", int(time.time() / 60)
    COUNTS[who] += 1
    response.headers["X-RateLimit-Remaining"] = str(600 - COUNTS[who])
    if COUNTS[who] > 600:
        raise HTTPException(429, "Too many notes.")
"""
SEEN = """    if (known := SEEN.get(request.headers.get("Idempotency-Key", ""))) is not None:
        return known
"""
KEPT_BY_KEY = """    if key := request.headers.get("Idempotency-Key"):
        SEEN[key] = note
"""
CURSOR_FOUND = """    if before is not None:
        if before not in CURSORS:
            raise HTTPException(404, "This cursor has expired.")
        before = CURSORS[before]
"""
CURSOR_KEPT = """    following = None
    if len(notes) == limit:
        following = uuid4()
        CURSORS[following] = notes[-1].id
    return Page(items=notes, next=following)
"""
PAGE_FROM_MEMORY = """    if before is not None and (limit, before) in PAGES:
        return PAGES[limit, before]
"""
PAGE_KEPT = """    page = Page(items=notes, next=notes[-1].id if len(notes) == limit else None)
    if before is not None:
        PAGES[limit, before] = page
    return page
"""
SET = "await cache.set(cache_key(note_id), note.model_dump_json().encode(), cache.ttl)"
IMPORT = "from contextlib import suppress\n"


def _importing(*names: str) -> Edit:
    return Edit(ROUTES, IMPORT, "".join((*(f"{name}\n" for name in names), IMPORT)))


SABOTAGES = [
    Sabotage(
        "VI.1",
        "a module-level dict of what was read",
        (
            Edit(ROUTES, ROUTER, ROUTER + "KEPT: dict[UUID, Note] = {}\n"),
            Edit(ROUTES, FOUND, FOUND_IN_MEMORY),
            Edit(ROUTES, DELETED, DELETED + "    KEPT.pop(note_id, None)\n"),
        ),
        neighbours=("IV.1", "VI.2"),
        also=("IV.4", "IV.5", "VI.3"),
    ),
    Sabotage(
        "VI.1",
        "the list is what this process has created",
        (
            Edit(ROUTES, ROUTER, ROUTER + "KEPT: dict[UUID, Note] = {}\n"),
            Edit(ROUTES, CREATED, CREATED + "    KEPT[note.id] = note\n"),
            Edit(ROUTES, LISTED, LISTED_FROM_MEMORY),
            Edit(ROUTES, DELETED, DELETED + "    KEPT.pop(note_id, None)\n"),
        ),
        neighbours=("IV.1", "IV.5"),
        also=("IV.4", "VI.2", "VI.3"),
    ),
    Sabotage(
        "VI.1",
        "the cursor of the next page is known to one process alone",
        (
            Edit(ROUTES, "from uuid import UUID\n", "from uuid import UUID, uuid4\n"),
            Edit(ROUTES, ROUTER, ROUTER + "CURSORS: dict[UUID, UUID] = {}\n"),
            Edit(ROUTES, LIST_TEXT, LIST_TEXT + CURSOR_FOUND),
            Edit(ROUTES, PAGE, CURSOR_KEPT),
        ),
        neighbours=("VI.2", "VI.3"),
    ),
    Sabotage(
        "VI.1",
        "each process counts for itself how often a client may create",
        (
            _importing("import time", "from collections import Counter"),
            Edit(ROUTES, ROUTER, "COUNTS: Counter[tuple[str, int]] = Counter()\n" + ROUTER),
            Edit(ROUTES, CREATE_TEXT, CREATE_TEXT + COUNTED),
        ),
        neighbours=("VI.2", "VI.3"),
    ),
    Sabotage(
        "VI.1",
        "the key of a request that is repeated is known to one process alone",
        (
            Edit(ROUTES, ROUTER, "SEEN: dict[str, Note] = {}\n" + ROUTER),
            Edit(ROUTES, CREATE_TEXT, CREATE_TEXT + SEEN),
            Edit(ROUTES, CREATED, CREATED + KEPT_BY_KEY),
        ),
        neighbours=("VI.2", "VI.3"),
    ),
    Sabotage(
        "VI.1",
        "which notes are pinned is known to one process alone",
        (
            Edit(ROUTES, ROUTER, "PINNED: set[UUID] = set()\n" + ROUTER),
            Edit(ROUTES, FIRST_WITH_ID, PINS + FIRST_WITH_ID),
        ),
        neighbours=("VI.2", "VI.3"),
    ),
    Sabotage(
        "VI.2",
        "a copy of each text goes to ./uploads",
        (_importing("from pathlib import Path"), Edit(ROUTES, CREATED, CREATED + UPLOAD)),
        neighbours=("IV.1", "VI.1", "VI.3"),
    ),
    Sabotage(
        "VI.2",
        "long texts are kept in ./uploads",
        (
            _importing("from pathlib import Path"),
            Edit(ROUTES, INSERTED, INSERTED_SHORT),
            Edit(ROUTES, NOT_FOUND, NOT_FOUND + READ_LONG),
        ),
        neighbours=("IV.1", "VI.3"),
        also=("VI.1",),
    ),
    Sabotage(
        "VI.2",
        "web hands texts to the worker in a folder of both",
        (Edit(ROUTES, INSERTED, INSERTED_WITH_FILE), Edit(JOBS, SELECTED, SELECTED_WITH_FILE)),
        neighbours=("IV.1", "VI.1", "VI.3"),
    ),
    Sabotage(
        "VI.2",
        "the nightly job moves old notes into ./archive",
        (
            Edit(
                JOBS,
                "from ..jobs import Work, job\n",
                "import json\nfrom pathlib import Path\n\nfrom ..jobs import Work, job\n",
            ),
            Edit(JOBS, ARCHIVED, ARCHIVED_TO_FILE),
        ),
        neighbours=("IV.1", "VI.1", "VIII.3"),
    ),
    Sabotage(
        "VI.3",
        "a memory of what was found, as lru_cache has it",
        (
            Edit(QUERIES, FIND, FIND_ONCE),
            Edit(QUERIES, DELETE, "    _found.pop(note_id, None)\n" + DELETE),
            Edit(QUERIES, "COLUMNS = ", "_found: dict[UUID, Note] = {}\nCOLUMNS = "),
        ),
        neighbours=("IV.1", "VI.2"),
        also=("IV.4", "IV.5", "VI.1"),
    ),
    Sabotage(
        "VI.3",
        "an ETag that does not change with what it stands for",
        (Edit(ROUTES, READ, READ_IF_UNKNOWN),),
        neighbours=("IV.4", "VI.1"),
    ),
    Sabotage(
        "VI.3",
        "the list is remembered for two seconds",
        (
            _importing("import time"),
            Edit(ROUTES, ROUTER, ROUTER + "KEPT: dict[tuple[int, UUID | None], tuple[float, list[Note]]] = {}\n"),
            Edit(ROUTES, LIST, LIST_OF_A_MOMENT),
        ),
        neighbours=("IV.1", "VI.2"),
        also=("VI.1",),
    ),
    Sabotage(
        "VI.3",
        "older pages of the list are remembered",
        (
            Edit(ROUTES, ROUTER, ROUTER + "PAGES: dict[tuple[int, UUID], Page] = {}\n"),
            Edit(ROUTES, LIST_TEXT, LIST_TEXT + PAGE_FROM_MEMORY),
            Edit(ROUTES, PAGE, PAGE_KEPT),
        ),
        neighbours=("IV.1", "VI.2"),
        also=("IV.4", "VI.1"),
    ),
    Sabotage(
        "VI.3",
        "clients and proxies may keep an answer for a day",
        (Edit(ROUTES, READ, READ_FOR_A_DAY),),
        neighbours=("IV.4", "VI.1"),
    ),
    Sabotage(
        "VI.3",
        "the cache keeps copies for a minute",
        (Edit(ROUTES, SET, SET.replace("cache.ttl", "60")),),
        neighbours=("IV.1", "VI.1"),
        also=("IV.4", "IV.5"),
    ),
]
