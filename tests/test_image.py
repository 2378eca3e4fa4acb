"""The image of a service, and its compose stack: built and run by a real engine, and looked at from outside."""

import hashlib
import json
import re
import shutil
import sys
import threading
import time
import tomllib
import urllib.error
from collections.abc import Callable, Iterator
from pathlib import Path
from secrets import token_hex

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from . import copies
from .engine import PROGRAMS, Engine, NoEngine, daemon
from .engine.images import Image, Stack, unpacked

TOOLS = Path(sys.executable).parent
LOCKED_DOWN = ("--read-only", "--network=none", "--cap-drop=ALL", "--security-opt=no-new-privileges")
HOLD_SECONDS = 7  # longer than the drain time, shorter than that and the grace time together


@pytest.fixture(scope="module")
def image(engine: Engine, default_service: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    """Built without any configuration, in a clone whose folder also holds what is not committed."""
    clone = tmp_path_factory.mktemp("image") / "orders"
    copies.git(default_service, "clone", "--quiet", default_service, clone)
    (clone / "src/orders/uncommitted.py").write_text("")
    (clone / "src/orders/features.py").write_text("FEATURES = ()\n")
    (clone / ".env").write_text("DATABASE_URL=postgresql://canary:canary@127.0.0.1/canary\n")
    built = Image.build(engine, clone)
    yield built
    built.remove()


@pytest.fixture(scope="module")
def root(image: Image, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file system of the image."""
    return unpacked(image.engine, image.name, tmp_path_factory.mktemp("root"))


@pytest.fixture(scope="module")
def stack(image: Image) -> Iterator[Stack]:
    stack = Stack.of(image)
    try:
        stack.up()
        yield stack
    finally:
        stack.compose("down", "--volumes", "--timeout", "1")


def test_the_dockerfile_passes_hadolint(default_service: Path) -> None:
    copies.run(TOOLS / "hadolint", "Dockerfile", cwd=default_service)


def test_compose_yaml_follows_its_specification(default_service: Path) -> None:
    schema = ("--builtin-schema", "vendor.compose-spec")
    copies.run(TOOLS / "check-jsonschema", *schema, "compose.yaml", cwd=default_service)


def test_compose_yaml_passes_yamllint(default_service: Path) -> None:
    # The width of .editorconfig, and one space before a comment, as everywhere in the service.
    rules = "{line-length: {max: 120}, comments: {min-spaces-from-content: 1}, document-start: disable}"
    settings = f"{{extends: default, rules: {rules}}}"
    copies.run(TOOLS / "yamllint", "--strict", "-d", settings, "compose.yaml", cwd=default_service)


def test_the_image_holds_the_files_of_the_commit_and_nothing_else_of_the_folder(
    image: Image, root: Path, tmp_path: Path
) -> None:
    committed = tmp_path / "committed"
    copies.git(image.source, "worktree", "add", "--quiet", "--detach", committed)
    expected = _hashes(committed / "src/orders")
    expected |= {f"migrations/{name}": content for name, content in _hashes(committed / "migrations").items()}
    expected["COMMIT"] = hashlib.sha256(f"{image.commit}\n".encode()).hexdigest()
    assert _hashes(_packages(root) / "orders") == expected


def test_the_image_adds_only_the_locked_packages_and_bytecode_to_its_base(
    image: Image, root: Path, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    base = re.search(r"^FROM (\S+)\$\{PYTHON_DIGEST\}", (image.source / "Dockerfile").read_text(), re.MULTILINE)
    assert base
    added = _names(root) - _names(unpacked(image.engine, base[1], tmp_path))
    assert {Path(name).suffix for name in added if not name.startswith("app/")} == {".pyc"}

    distributions = [folder.name.removesuffix(".dist-info") for folder in _packages(root).glob("*.dist-info")]
    installed = {canonicalize_name(name): version for name, version in (pair.split("-") for pair in distributions)}
    assert installed.pop(canonicalize_name("orders"))
    assert installed == _locked(image.source)

    sizes = {"image": image.about()["Size"], "app": sum(file.lstat().st_size for file in (root / "app").rglob("*"))}
    for name, size in sizes.items():
        print(f"{name}: {size / 1e6:.0f} MB")
        record_property(f"{name}_bytes", size)


def test_nothing_is_left_to_compile(root: Path) -> None:
    (standard,) = root.glob("usr/local/lib/python3.*")
    sources = [file for file in standard.rglob("*.py") if "site-packages" not in file.parts]
    sources += _packages(root).rglob("*.py")
    assert len(sources) > 1000
    assert [file for file in sources if not _compiled(file)] == []


def test_it_runs_unprivileged_read_only_without_capabilities_and_network(image: Image) -> None:
    told = image.run("--version", options=LOCKED_DOWN)
    assert (told.returncode, told.stdout) == (0, f"{_version(image)} ({image.commit})\n")
    assert image.about()["Config"]["User"] == "10001:10001"


def test_its_user_can_change_nothing_in_it(root: Path) -> None:
    for file in [root / "app", *(root / "app").rglob("*")]:
        state = file.lstat()
        assert (state.st_uid, state.st_gid) == (0, 0), file
        assert file.is_symlink() or not state.st_mode & 0o002, file


def test_its_labels_say_what_it_is(image: Image) -> None:
    assert image.about()["Config"]["Labels"] == {
        "org.opencontainers.image.title": "orders",
        "org.opencontainers.image.version": _version(image),
        "org.opencontainers.image.revision": image.commit,
    }


def test_without_a_usable_configuration_it_ends_with_78_and_one_event(image: Image) -> None:
    told = image.run(options=(*LOCKED_DOWN, "--env=PORT=canary"))
    assert told.returncode == 78
    event = json.loads(told.stdout)["event"]
    assert "DATABASE_URL" in event
    assert "PORT" in event
    assert "canary" not in told.stdout


def test_the_stack_comes_up_healthy_and_keeps_a_note(stack: Stack) -> None:
    status, note = stack.ask("/notes", {"text": "kept in a container"})
    assert status == 201
    status, kept = stack.ask(f"/notes/{note['id']}")
    assert status == 200
    assert kept["text"] == "kept in a container"
    assert stack.ask("/livez")[1]["commit"] == stack.image.commit
    assert stack.container("web")["State"]["Health"]["Status"] == "healthy"
    assert stack.container("release")["State"]["ExitCode"] == 0


def test_release_and_web_run_one_image_with_two_configurations(stack: Stack) -> None:
    web, release = stack.container("web"), stack.container("release")
    assert web["Image"] == release["Image"] == stack.image.about()["Id"]
    assert set(web["Config"]["Env"]) != set(release["Config"]["Env"])


def test_the_stack_keeps_its_processes_within_limits(stack: Stack) -> None:
    for service in ("web", "release"):
        host = stack.container(service)["HostConfig"]
        assert host["ReadonlyRootfs"]
        assert (host["CapDrop"], host["CapAdd"]) == (["ALL"], None)
        assert "no-new-privileges:true" in host["SecurityOpt"]
        assert all(host[limit] > 0 for limit in ("Memory", "NanoCpus", "PidsLimit"))


def test_the_stack_is_reached_from_this_machine_only(stack: Stack) -> None:
    bindings = [stack.container(service)["HostConfig"]["PortBindings"] for service in ("web", "release", "postgres")]
    assert bindings == [{"8000/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(stack.port)}]}, {}, {}]


def test_the_database_is_set_up_like_the_one_of_development(stack: Stack) -> None:
    about = "pg_encoding_to_char(encoding), datcollate, datctype, datlocprovider, datlocale"
    assert stack.sql(f"SELECT {about} FROM pg_database WHERE datname = current_database()") == "UTF8|C|C|b|C.UTF-8"
    assert stack.sql("SHOW server_version").split(".")[0] == "18"


def test_a_stopped_web_finishes_the_request_that_it_holds(stack: Stack) -> None:
    web = stack.container("web")["Config"]
    settings = dict(setting.split("=", 1) for setting in web["Env"])
    drain, grace = float(settings["DRAIN_SECONDS"]), float(settings["GRACE_SECONDS"])
    assert drain < HOLD_SECONDS - 2 < drain + grace <= web["StopTimeout"] - 2

    answers: list[int] = []
    lock = threading.Thread(
        target=stack.sql, args=(f"BEGIN; LOCK TABLE notes; SELECT pg_sleep({HOLD_SECONDS}); COMMIT",)
    )
    request = threading.Thread(target=lambda: answers.append(stack.ask("/notes", {"text": "held"})[0]))
    lock.start()
    _until(lambda: stack.sql("SELECT 1 FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted") == "1")
    request.start()
    _until(lambda: stack.sql("SELECT 1 FROM pg_locks WHERE NOT granted") == "1")

    began = time.monotonic()
    stack.compose("stop", "web")
    assert drain < time.monotonic() - began < web["StopTimeout"]
    assert stack.container("web")["State"]["ExitCode"] == 0
    for thread in (request, lock):
        thread.join()
    assert answers == [201]
    assert stack.sql("SELECT count(*) FROM notes WHERE text = 'held'") == "1"
    with pytest.raises(urllib.error.URLError):
        stack.ask("/livez")
    stack.up()


def test_data_outlives_its_containers(stack: Stack) -> None:
    stack.up()  # in case that a test before this one has left it stopped
    note = stack.ask("/notes", {"text": "outlives its container"})[1]
    stack.compose("down")
    stack.up()
    status, kept = stack.ask(f"/notes/{note['id']}")
    assert status == 200
    assert kept["text"] == "outlives its container"


def test_an_engine_of_the_tests_leaves_nothing_behind() -> None:
    folder = Path("/tmp", f"engine-{token_hex(4)}")
    try:
        private = daemon.start(folder, PROGRAMS, with_parent=True)
    except NoEngine as reason:
        pytest.skip(f"no engine was started: {reason}")
    try:
        link = Path("/sys/class/net", f"br-{private.docker('network', 'create', 'left').stdout[:12]}")
        private.docker("volume", "create", "left")
        assert link.exists()
        assert copies.running_below(folder)
    finally:
        daemon.stop(folder, PROGRAMS)
    shutil.rmtree(folder)
    assert not link.exists()
    assert not copies.running_below(folder)
    assert str(folder) not in Path("/proc/mounts").read_text()


def _version(image: Image) -> str:
    version: str = tomllib.loads((image.source / "pyproject.toml").read_text())["project"]["version"]
    return version


def _packages(root: Path) -> Path:
    (folder,) = root.glob("app/lib/python3.*/site-packages")
    return folder


def _names(root: Path) -> set[str]:
    return {str(file.relative_to(root)) for file in root.rglob("*") if file.is_symlink() or not file.is_dir()}


def _hashes(folder: Path) -> dict[str, str]:
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in folder.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }


def _compiled(source: Path) -> bool:
    """Whether there is bytecode that an interpreter takes for current: it holds the source's time of change."""
    changed = int(source.stat().st_mtime).to_bytes(4, "little")
    return any(file.read_bytes()[8:12] == changed for file in source.parent.glob(f"__pycache__/{source.stem}.*.pyc"))


def _locked(service: Path) -> dict[str, str]:
    """The packages that the service needs on Linux, as uv.lock says."""
    form = ("--no-emit-project", "--no-hashes", "--no-annotate", "--no-header")
    listed = copies.run(
        *("uv", "export", "--quiet", "--locked", "--no-dev", *form),
        cwd=service,
        env=copies.service_environment(None),
    )
    python = (service / ".python-version").read_text().strip()
    there = {"python_version": python, "python_full_version": f"{python}.0", "sys_platform": "linux"}
    requirements = [Requirement(line) for line in listed.splitlines()]
    return {
        canonicalize_name(requirement.name): str(requirement.specifier).removeprefix("==")
        for requirement in requirements
        if requirement.marker is None or requirement.marker.evaluate(there)
    }


def _until(fulfilled: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not fulfilled():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.1)
