"""Sabotages of factor VII, port binding."""

from . import Edit, Sabotage

SERVER = "src/orders/web/server.py"
MIDDLEWARE = "src/orders/web/middleware.py"
LISTENER = "listener = socket.create_server((settings.host, settings.port), family=family)"
FAILED = """        log.critical("web cannot listen: change HOST or PORT", **address, reason=str(error))
        return 1
"""
LOCATION = 'response.headers["Location"] = link(request, f"/notes/{note.id}")'
LIST = """    database: Database, limit: Annotated[int, Query(ge=1, le=100)] = 20, before: UUID | None = None
"""
LIST_WITH_REQUEST = """    database: Database,
    request: Request,
    response: Response,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    before: UUID | None = None,
"""
PAGE = """    return Page(items=notes, next=notes[-1].id if len(notes) == limit else None)
"""
LINKED = """    if len(notes) == limit:
        following = request.url.include_query_params(before=notes[-1].id)
        response.headers["Link"] = f'<{following}>; rel="next"'
"""

# A second program, which leaves its family and serves whatever lies in its folder.
FILES = """
    import subprocess
    import sys

    files = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "--directory", "/var/empty", "0"]
    script = f"import subprocess; subprocess.Popen({files!r}, start_new_session=True)"
    subprocess.run([sys.executable, "-c", script], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
"""

SABOTAGES = [
    Sabotage(
        "VII.1",
        "listens on 8000, whatever PORT says",
        (Edit(SERVER, LISTENER, "listener = socket.create_server((settings.host, 8000), family=family)"),),
        neighbours=("XII.2", "XII.3"),
        also=("XII.2",),
    ),
    Sabotage(
        "VII.1",
        "listens on the loopback interface alone",
        (Edit("src/orders/settings.py", 'host: str = Field("0.0.0.0",', 'host: str = Field("127.0.0.1",'),),
        neighbours=("VII.3", "IX.2"),
        also=("VII.2",),  # worker and clock do so too
    ),
    Sabotage(
        "VII.1",
        "takes another port when its own is taken",
        (
            Edit(
                SERVER,
                FAILED,
                '        log.warning("another port", **address, reason=str(error))\n'
                "        listener = socket.create_server((settings.host, 0), family=family)\n",
            ),
        ),
        neighbours=("VII.2", "VII.3", "IX.2"),
    ),
    Sabotage(
        "VII.2",
        "opens a port to debug the worker",
        (
            Edit(
                "src/orders/process.py",
                '        log.info("started")\n',
                '        log.info("started")\n'
                '        await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)\n',
            ),
        ),
        neighbours=("VII.1", "VIII.1", "IX.3"),
    ),
    Sabotage(
        "VII.2",
        "the metrics of worker and clock are on the loopback interface",
        (
            Edit(
                "src/orders/process.py",
                "host, port = settings.host, settings.metrics_port",
                'host, port = "127.0.0.1", settings.metrics_port',
            ),
        ),
        neighbours=("VII.1", "VIII.1", "IX.3"),
    ),
    Sabotage(
        "VII.2",
        "opens a port to debug where much is logged",
        (
            Edit(
                "src/orders/process.py",
                '        log.info("started")\n',
                '        log.info("started")\n'
                '        if settings.log_level == "debug":\n'
                '            await asyncio.start_server(lambda _, writer: writer.close(), "0.0.0.0", 0)\n',
            ),
        ),
        neighbours=("VII.1", "VIII.1", "IX.3"),
    ),
    Sabotage(
        "VII.2",
        "opens a Unix socket with the first request",
        (
            Edit(
                "src/orders/web/context.py",
                '    """The address of `path`',
                "    import socket\n\n"
                '    if not hasattr(request.app.state, "console"):\n'
                "        request.app.state.console = socket.socket(socket.AF_UNIX)\n"
                '        request.app.state.console.bind("\\0console-%d" % id(request.app))\n'
                "        request.app.state.console.listen()\n"
                '    """The address of `path`',
            ),
        ),
        neighbours=("VII.1", "VII.3", "IX.2"),
    ),
    Sabotage(
        "VII.2",
        "starts a web server beside web, out of its family",
        (Edit(SERVER, "    lifecycle = Lifecycle()\n", f"    lifecycle = Lifecycle()\n{FILES}"),),
        neighbours=("VII.3", "XII.3"),
        also=("VII.1", "VIII.4", "IX.2", "II.3"),  # it listens, though the port of web is taken
    ),
    Sabotage(
        "VII.3",
        "has localhost:8000 in the Location",
        (
            Edit(
                "src/orders/notes/routes.py",
                LOCATION,
                'response.headers["Location"] = f"http://localhost:8000/notes/{note.id}"',
            ),
        ),
        neighbours=("VII.1", "VII.2", "IX.2"),
    ),
    Sabotage(
        "VII.3",
        "builds the Location from the Host of the request",
        (
            Edit(
                "src/orders/notes/routes.py",
                LOCATION,
                'response.headers["Location"] = f"{request.base_url}notes/{note.id}"',
            ),
        ),
        neighbours=("VII.1", "VII.2", "IX.2"),
    ),
    Sabotage(
        "VII.3",
        "the link to the next page has the Host of the request",
        (
            Edit("src/orders/notes/routes.py", LIST, LIST_WITH_REQUEST),
            Edit("src/orders/notes/routes.py", PAGE, LINKED + PAGE),
        ),
        neighbours=("VII.1", "VII.2", "IX.2"),
    ),
    Sabotage(
        "VII.3",
        "redirects to the host that the client claims",
        (Edit("src/orders/web/app.py", "redirect_slashes=False,", "redirect_slashes=True,"),),
        neighbours=("VII.1", "VII.2", "XIII.3"),
    ),
    Sabotage(
        "VII.2",
        "an error opens a port to look into it",
        (
            Edit(
                MIDDLEWARE,
                '            log.exception("request failed")\n',
                '            log.exception("request failed")\n'
                '            scope["app"].state.debug = socket.create_server(("0.0.0.0", 0))\n',
            ),
            Edit(MIDDLEWARE, "import secrets\n", "import secrets\nimport socket\n"),
        ),
        neighbours=("VII.1", "IX.2"),
    ),
]
