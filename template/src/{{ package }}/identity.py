"""What this process is: its name, its version, and the commit that it was built from."""

from functools import cache
from importlib.metadata import version
from pathlib import Path

PACKAGE = __package__
SERVICE = PACKAGE.replace("_", "-")
VERSION = version(SERVICE)


@cache
def commit() -> str:
    """The full id of the commit, written into the image by its build; in a checkout, the one that is checked out."""
    package = Path(__file__).parent
    if (built := package / "COMMIT").is_file():
        return built.read_text().strip() or "unknown"
    return _checked_out(package.parents[1] / ".git")


def _checked_out(git: Path) -> str:
    # Read by hand: the service runs where there is no git, and starts no other program.
    try:
        head = (git / "HEAD").read_text().strip()
        if not head.startswith("ref: "):
            return head
        reference = head.removeprefix("ref: ")
        if (loose := git / reference).is_file():
            return loose.read_text().strip()
        packed = (line.split(" ", 1) for line in (git / "packed-refs").read_text().splitlines())
        return next((entry[0] for entry in packed if entry[1:] == [reference]), "unknown")
    except OSError:
        return "unknown"
