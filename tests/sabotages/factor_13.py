"""Faults of the API contract."""

from . import Edit, Sabotage

ROUTES = "src/orders/notes/routes.py"
MODEL = "src/orders/notes/model.py"
APP = "src/orders/web/app.py"
CREATED = """    async with database.connection() as connection:
        note = await queries.insert(connection, new)
"""
NO_SUCH_NOTE = """    if note is None:
        raise HTTPException(404, "There is no such note.")
    await cache.set("""
CACHED = """    with suppress(ValidationError):  # nothing is there, or what another release has put there
        return Note.model_validate_json(await cache.get(cache_key(note_id)) or b"")
"""
KEPT = """    await cache.set(cache_key(note_id), note.model_dump_json().encode(), cache.ttl)
    return note
"""
FIRST_ROUTE = '@router.get("/{note_id}")\n'
FEATURES = '    for module in parts.of_features("routes"):\n'
OPERATIONS = '    answers: Answers = {"/livez": livez, "/readyz": readyz, "/metrics": metrics}\n'
DELETED = """            raise HTTPException(404, "There is no such note.")
    await cache.delete("""
INTERNAL = '''"""The notes for the other team."""

from uuid import UUID

from fastapi import APIRouter

router = APIRouter(prefix="/notes")


@router.post("/{note_id}/recount", status_code=202)
async def recount(note_id: UUID) -> None:
    """Counts the words again."""
'''

SABOTAGES = [
    Sabotage(
        "XIII.1",
        "a field is dropped, and the committed document still has it",
        (
            Edit(
                MODEL,
                '    words: int | None = Field(description="How many words the text has, once they are counted.")\n',
                "",
            ),
        ),
        ("XIII.2", "XIII.3", "IX.2"),
    ),
    Sabotage(
        "XIII.1",
        "an optional field is added, and the committed document does not know it",
        (Edit(MODEL, "\n    text: Text\n", "\n    text: Text\n    colour: str | None = None\n"),),
        ("XIII.2", "XIII.3", "IX.2"),
    ),
    Sabotage(
        "XIII.1",
        "the committed document is edited by hand",
        (Edit("openapi.json", '"maximum": 100,', '"maximum": 1000,'),),
        ("XIII.2", "XIII.3"),
    ),
    Sabotage(
        "XIII.1",
        "the document names the server that the configuration names",
        (
            Edit(
                APP,
                "        redoc_url=None,\n",
                "        redoc_url=None,\n"
                '        servers=[{"url": str(settings.public_url)}] if settings.public_url else None,\n',
            ),
        ),
        ("XIII.2", "XIII.3"),
    ),
    Sabotage(
        "XIII.2",
        "an address that cannot be encoded is a 500",
        (
            Edit(
                ROUTES,
                CREATED,
                '    domain = new.author.rpartition("@")[2].encode("idna") if new.author else b""\n'
                '    response.headers["X-Domain"] = domain.decode()\n' + CREATED,
            ),
        ),
        ("XIII.1", "XIII.3", "IX.2"),
    ),
    Sabotage(
        "XIII.2",
        "a note that is not there is a 500",
        (
            Edit(
                ROUTES,
                NO_SUCH_NOTE,
                NO_SUCH_NOTE.replace('HTTPException(404, "There is no such note.")', "LookupError"),
            ),
        ),
        ("XIII.1", "XIII.3", "IX.2"),
    ),
    Sabotage(
        "XIII.2",
        "an error is plain text, where a problem is documented",
        (
            Edit(
                ROUTES,
                DELETED,
                DELETED.replace(
                    'raise HTTPException(404, "There is no such note.")',
                    'return Response("no such note", 404, media_type="text/plain")  # type: ignore[return-value]',
                ),
            ),
        ),
        ("XIII.1", "XIII.3"),
    ),
    Sabotage(
        "XIII.2",
        "an answer holds a field that is not documented",
        (
            Edit(
                ROUTES,
                NO_SUCH_NOTE.partition("    await")[0],
                NO_SUCH_NOTE.partition("    await")[0]
                + "    more = note.model_dump_json()[:-1] + ', \"revision\": 1}'\n"
                '    return Response(more, media_type="application/json")  # type: ignore[return-value]\n',
            ),
        ),
        ("XIII.1", "XIII.3", "IX.2"),
    ),
    Sabotage(
        "XIII.2",
        "what the cache holds is answered without its media type",
        (Edit(ROUTES, CACHED, "    if kept := await cache.get(cache_key(note_id)):\n        return Response(kept)\n"),),
        ("XIII.1", "XIII.3"),
    ),
    Sabotage(
        "XIII.2",
        "an answer holds one field more once the job is done",
        (
            Edit(
                ROUTES,
                KEPT,
                KEPT.replace("    return note\n", "    if note.words is not None:\n")
                + '        more = note.model_dump(mode="json") | {"minutes": note.words / 200}\n'
                "        return JSONResponse(more)\n"
                "    return note\n",
            ),
            Edit(
                ROUTES,
                "from pydantic import ValidationError\n",
                "from fastapi.responses import JSONResponse\nfrom pydantic import ValidationError\n",
            ),
        ),
        ("XIII.1", "XIII.3"),
    ),
    Sabotage(
        "XIII.3",
        "a route that the document leaves out",
        (
            Edit(
                ROUTES,
                FIRST_ROUTE,
                '@router.get("/export", include_in_schema=False)\n'
                "async def export_notes(database: Database) -> Page:\n"
                '    """Gives all notes away."""\n'
                "    return await list_notes(database, limit=100)\n\n\n" + FIRST_ROUTE,
            ),
        ),
        ("XIII.1", "XIII.2", "IX.2"),
    ),
    Sabotage(
        "XIII.3",
        "a method that the document leaves out",
        (
            Edit(
                ROUTES,
                FIRST_ROUTE,
                '@router.patch("/{note_id}", include_in_schema=False)\n'
                "async def change_note(note_id: UUID, new: NewNote) -> NewNote:\n"
                '    """Changes nothing yet."""\n'
                "    return new\n\n\n" + FIRST_ROUTE,
            ),
        ),
        ("XIII.1", "XIII.2", "IX.2"),
    ),
    Sabotage(
        "XIII.3",
        "an application is mounted beside the routes",
        (
            Edit(
                APP,
                FEATURES,
                '    extra = FastAPI(title="extra", docs_url=None, openapi_url=None)\n'
                '    extra.get("/who")(lambda: identity.SERVICE)\n'
                '    app.mount("/backoffice/tools", extra)\n' + FEATURES,
            ),
        ),
        ("XIII.1", "XIII.2"),
    ),
    Sabotage(
        "XIII.3",
        "a route is named after its function",
        (
            Edit(
                APP,
                FEATURES,
                "    async def thread_names() -> list[str]:\n"
                "        import threading\n\n"
                "        return [thread.name for thread in threading.enumerate()]\n\n"
                '    app.add_api_route("/" + thread_names.__name__, thread_names, include_in_schema=False)\n'
                + FEATURES,
            ),
        ),
        ("XIII.1", "XIII.2"),
    ),
    Sabotage(
        "XIII.3",
        "the worker's port tells more",
        (Edit("src/orders/operations.py", OPERATIONS, OPERATIONS.replace("}\n", ', "/loop": livez}\n')),),
        ("XIII.1", "IX.2"),
    ),
    Sabotage(
        "XIII.3",
        "a route that is there while somebody looks for a fault",
        (
            Edit(
                APP,
                FEATURES,
                '    if settings.log_level == "debug":\n'
                '        app.add_api_route("/debug/settings", lambda: repr(settings), include_in_schema=False)\n'
                + FEATURES,
            ),
        ),
        ("XIII.1", "XIII.2"),
    ),
    Sabotage(
        "XIII.3",
        "a router of another team is mounted below a prefix",
        (
            Edit(
                APP,
                FEATURES,
                "    from ..notes import internal\n\n"
                '    app.include_router(internal.router, prefix="/internal", include_in_schema=False)\n' + FEATURES,
            ),
            Edit("src/orders/notes/internal.py", "", INTERNAL),
        ),
        ("XIII.1", "XIII.2"),
    ),
    Sabotage(
        "XIII.3",
        "any address that ends in .csv is answered by a middleware",
        (
            Edit(
                APP,
                FEATURES,
                '    @app.middleware("http")\n'
                "    async def as_csv(request: Request, call_next: RequestResponseEndpoint) -> Response:\n"
                '        if request.url.path.endswith(".csv"):\n'
                '            return Response("id,text\\n", media_type="text/csv")\n'
                "        return await call_next(request)\n\n" + FEATURES,
            ),
            Edit(
                APP,
                "from fastapi import FastAPI\n",
                "from fastapi import FastAPI, Request, Response\n"
                "from starlette.middleware.base import RequestResponseEndpoint\n",
            ),
        ),
        ("XIII.1", "XIII.2"),
    ),
    Sabotage(
        "XIII.3",
        "a parameter that the document leaves out shows more",
        (
            Edit(
                ROUTES,
                FIRST_ROUTE + "async def read_note(note_id: UUID,",
                FIRST_ROUTE + "async def read_note(\n    request: Request, note_id: UUID,",
            ),
            Edit(
                ROUTES,
                "    with suppress(ValidationError):",
                '    if request.query_params.get("explain"):\n'
                '        return JSONResponse({"id": str(note_id), "plan": "Index Scan using notes_pkey"})\n'
                "    with suppress(ValidationError):",
            ),
            Edit(ROUTES, "from ..web.context", "from fastapi.responses import JSONResponse\n\nfrom ..web.context"),
        ),
        ("XIII.1", "XIII.2"),
    ),
]
