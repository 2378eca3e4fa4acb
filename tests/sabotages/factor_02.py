"""Sabotages of factor II, dependencies."""

from . import Edit, Sabotage

SYNC = "uv sync --locked --no-dev --no-install-project"
LAZY = '''"""Understands dates as people write them."""

from datetime import datetime


def understood(text: str) -> datetime:
    """The date that a text means."""
    from dateutil import parser

    return parser.parse(text)
'''
BY_NAME = '''"""Loads what reads a format, by the format's name."""

from importlib import import_module

READERS = {"templates": "mako" + ".template"}
reader = import_module(READERS["templates"])
'''
CURL = '''"""Tells a dashboard that something happened."""

import shutil
import subprocess


def tell(event: str) -> None:
    """Sends an event, where there is curl."""
    if program := shutil.which("curl"):
        subprocess.run([program, "--silent", "https://dashboard.example.com/", "--data", event], check=False)
'''

WAIT = """COPY --chmod=755 <<"EOF" /start
#!/bin/sh
until nc -z "$POSTGRES_HOST" 5432; do sleep 1; done
exec orders "$@"
EOF
ENTRYPOINT ["/start"]
CMD ["web"]
"""

SABOTAGES = [
    Sabotage(
        "II.1",
        "a package that others bring is imported",
        (
            Edit(
                "src/orders/web/health.py",
                "from fastapi import FastAPI, Request, Response\n",
                "import anyio  # noqa: F401\nfrom fastapi import FastAPI, Request, Response\n",
            ),
        ),
        neighbours=("II.2", "II.3", "I.1"),
    ),
    Sabotage(
        "II.1",
        "a package that others bring is imported when it is needed",
        (Edit("src/orders/dates.py", "", LAZY),),
        neighbours=("II.2", "II.3"),
    ),
    Sabotage(
        "II.1",
        "a package that others bring is loaded by its name",
        (
            Edit("src/orders/readers.py", "", BY_NAME),
            Edit(
                "src/orders/release.py",
                "from .settings import",
                "from . import readers as readers\nfrom .settings import",
            ),
        ),
        neighbours=("II.2", "II.3"),
    ),
    Sabotage(
        "II.1",
        "the pool comes with another package",
        (Edit("pyproject.toml", '"psycopg[binary,pool]>=3.3"', '"psycopg[binary]>=3.3"'),),
        neighbours=("II.2", "II.3"),
        lock=True,
    ),
    Sabotage(
        "II.2",
        "the lock is out of date",
        (Edit("pyproject.toml", '"structlog>=26.1"', '"structlog>=25.1"'),),
        neighbours=("II.3", "I.1", "I.2"),
        also=("II.1",),
    ),
    Sabotage(
        "II.2",
        "the image is built by whatever versions there are",
        (Edit("Dockerfile", SYNC, "uv pip install --system ."),),
        neighbours=("II.1", "II.3", "I.1"),
    ),
    Sabotage(
        "II.2",
        "the image's packages are resolved anew",
        (Edit("Dockerfile", SYNC, "uv sync --upgrade --no-dev --no-install-project"),),
        neighbours=("II.1", "I.1"),
    ),
    Sabotage(
        "II.2",
        "CI resolves anew",
        (Edit("Makefile", "export UV_LOCKED := 1\n", "export UV_LINK_MODE := copy\n"),),
        neighbours=("II.1", "I.1"),
    ),
    Sabotage(
        "II.3",
        "curl is used where it is found",
        (Edit("src/orders/dashboard.py", "", CURL),),
        neighbours=("II.1", "II.2", "I.1"),
    ),
    Sabotage(
        "II.3",
        "web asks git for the version",
        (
            Edit(
                "src/orders/web/server.py",
                "def run(settings: Settings) -> int:\n",
                'def run(settings: Settings) -> int:\n    __import__("os").popen("git describe --always").read()\n',
            ),
        ),
        neighbours=("II.1", "II.2"),
    ),
    Sabotage(
        "II.3",
        "a library is looked for, which asks the linker and a compiler",
        (
            Edit(
                "src/orders/web/server.py",
                "def run(settings: Settings) -> int:\n",
                'def run(settings: Settings) -> int:\n    __import__("ctypes.util").util.find_library("magic")\n',
            ),
        ),
        neighbours=("II.1", "II.2"),
    ),
    Sabotage(
        "II.3",
        "the platform asks by curl whether it lives",
        (
            Edit(
                "Dockerfile",
                'CMD ["orders", "health"]',
                "CMD curl --fail --silent http://127.0.0.1:8000/livez || exit 1",
            ),
        ),
        neighbours=("II.1", "II.2", "I.1"),
    ),
    Sabotage(
        "II.3",
        "the image starts by a script that waits for the database with nc",
        (Edit("Dockerfile", 'ENTRYPOINT ["orders"]\nCMD ["web"]\n', WAIT),),
        neighbours=("II.1", "II.2", "I.1"),
    ),
    Sabotage(
        "II.3",
        "the worker's containers start by a script in the repository, which asks with curl",
        (
            Edit("docker/wait.sh", "", '#!/bin/sh\nset -e\ncurl -sf http://config/ready\nexec orders "$@"\n'),
            Edit("Dockerfile", 'ENTRYPOINT ["orders"]\n', 'COPY docker/wait.sh /wait\nENTRYPOINT ["orders"]\n'),
            Edit("compose.yaml", "    command: [worker]\n", "    entrypoint: [/wait]\n    command: [worker]\n"),
        ),
        neighbours=("II.1", "II.2"),
        also=("I.1",),
    ),
    Sabotage(
        "II.3",
        "a library of the system's is loaded by its name",
        (
            Edit(
                "src/orders/notes/jobs.py",
                "    for (text,) in await cursor.fetchall():\n",
                '    import ctypes\n\n    ctypes.CDLL("libz.so.1").zlibVersion()\n'
                "    for (text,) in await cursor.fetchall():\n",
            ),
        ),
        neighbours=("II.1", "II.2"),
    ),
    Sabotage(
        "II.2",
        "the image gets a tool from whatever script its server has today",
        (
            Edit(
                "Dockerfile",
                "WORKDIR /build\n",
                "RUN curl -fsSL https://get.example.com/agent.sh | sh\nWORKDIR /build\n",
            ),
        ),
        neighbours=("I.1", "II.1"),
    ),
]
