"""Makes .venv for the template's own commands, on a machine that has nothing but Python.

A virtual environment usually begins with an installation of pip, which takes longer than all the rest. Here the pip
that every Python carries for that purpose runs once, from its wheel, to fetch uv; uv installs what requirements name.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STAMP = VENV / "made.txt"
DEBIAN = f"python{sys.version_info[0]}.{sys.version_info[1]}-venv"


class Stop(Exception):
    """A step could not be done; the text is for the person at the terminal."""


def run(step: str, *command: object, stdin: str | None = None) -> None:
    """Runs a command, which speaks only when it fails."""
    try:
        done = subprocess.run([*map(str, command)], cwd=ROOT, input=stdin, capture_output=True, text=True, check=False)
    except OSError as error:
        raise Stop(f"{step} failed: {error}") from error
    if done.returncode != 0:
        raise Stop(f"{step} failed:\n{done.stderr.strip() or done.stdout.strip()}")


def pip_wheel() -> Path:
    """The pip that Python carries; distributions keep it in a folder, or a package, of its own."""
    spec = find_spec("ensurepip")
    folders = [Path(spec.origin).parent / "_bundled"] if spec and spec.origin else []
    if folders:
        folders.append(Path(sysconfig.get_config_var("WHEEL_PKG_DIR") or "/usr/share/python-wheels"))
    wheels = (wheel for folder in folders for wheel in folder.glob("pip-*.whl"))
    wheel = next(wheels, None)
    if wheel is None:
        raise Stop("ensurepip is missing")
    return wheel


def make_venv() -> None:
    """Begins .venv anew, with nothing in it but uv."""
    try:
        wheel = pip_wheel()
        run("python3 -m venv", os.environ.get("PYTHON", "python3"), "-m", "venv", "--clear", "--without-pip", VENV)
    except Stop as error:
        if not re.search(r"ensurepip|No module named|python3?[\d.]*-venv", str(error)):
            raise
        raise Stop(
            "Python cannot make virtual environments here: install the package python3-venv "
            f"(on Debian and Ubuntu: apt install {DEBIAN}), then run this again."
        ) from error
    pinned = re.search(r"^uv==(.*\n)+?(?=\S|\Z)", (ROOT / "requirements.txt").read_text("utf-8"), re.MULTILINE)
    assert pinned, "requirements.txt pins uv"
    python = VENV / "bin" / "python"
    pip = [python, wheel / "pip", "--disable-pip-version-check", "install", "--quiet", "--no-user", "--no-compile"]
    run("Fetching uv with pip", *pip, "--no-deps", "--require-hashes", "-r", "/dev/stdin", stdin=pinned[0])


def fingerprints(names: set[str]) -> list[str]:
    """What an environment was made from: it is made anew for another Python, and when the folder was moved."""
    digests = (f"{name} {hashlib.sha256((ROOT / name).read_bytes()).hexdigest()}" for name in sorted(names))
    return [f"{sys.version.split()[0]} {VENV}", *digests]


def install(name: str) -> None:
    """Sees to it that .venv holds what a requirements file names; what was left half-made is made anew."""
    made = STAMP.read_text("utf-8").splitlines() if STAMP.exists() else []
    wanted = fingerprints({name})
    if set(wanted) <= set(made) and (VENV / "bin" / "python").exists():
        return
    print(f"Preparing .venv from {name}", flush=True)
    # The mark stands only while everything is in place, so that whatever interrupts this is noticed by the next run.
    STAMP.unlink(missing_ok=True)
    if made[:1] == wanted[:1]:
        names = {name, *(line.split()[0] for line in made[1:])}
    else:
        names = {name}
        make_venv()
    files = [part for each in sorted(names) for part in ("-r", each)]
    uv = [VENV / "bin" / "uv", "pip", "install", "--quiet", "--python", VENV / "bin" / "python", "--no-deps"]
    run("Installing with uv", *uv, "--require-hashes", *files)
    STAMP.write_text("\n".join(fingerprints(names)) + "\n", "utf-8")


def main() -> int:
    """Makes .venv from one requirements file; leaves none behind when it cannot."""
    if sys.version_info < (3, 11):  # noqa: UP036 - the machine's Python may be any
        print(f"Python 3.11 or later is needed, and python3 is {sys.version.split()[0]} here.", file=sys.stderr)
        return 1
    try:
        install(sys.argv[1])
    except (Stop, OSError) as error:
        message = str(error)
    except KeyboardInterrupt:
        message = "Stopped."
    else:
        return 0
    shutil.rmtree(VENV, ignore_errors=True)
    print(message, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
