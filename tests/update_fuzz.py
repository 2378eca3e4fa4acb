"""Random releases of a template against random work of a team: `nox -s update-fuzz`.

Each line that the team writes is a word of its own, so that it can be found again wherever it went. What must hold is
said once, in `Case.update`. The same cases also go through `copier update`, to show that they find what it loses.
"""

import argparse
import io
import os
import random
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from functools import partial
from math import ceil
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import hypothesis
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from twelvefold.update.command import undo

from . import copies
from .small_templates import QUESTION, SETTINGS, Files, make_template, page, picture, plain_update, safe_update, write

WORD = "written-by-the-team-"
NAMES = ("a/one.md", "a/two.md", "b/three.md", "four.txt", "Five.md", "app.ini")
BINARY = "logo.png"
IMAGE = b"\x89PNG\0" + bytes(range(200))

PART = 125  # cases that one process draws, so that there is something to be seen now and then

Pick = tuple[str, int, int]  # what is done, to which file, where


@dataclass
class Case:
    """A template and a service of it, in a folder; `plainly` it is updated by `copier update`."""

    folder: Path
    plainly: bool = False
    files: dict[str, bytes] = field(default_factory=dict)
    asked: str = QUESTION
    version: int = 1
    words: int = 0
    names: dict[str, str] = field(default_factory=dict)
    done: dict[str, str] = field(default_factory=dict)
    released: dict[str, str] = field(default_factory=dict)
    losses: Counter[str] = field(default_factory=Counter)
    where_was: dict[str, str] = field(default_factory=dict)

    @property
    def template(self) -> Path:
        return self.folder / "template"

    @property
    def service(self) -> Path:
        return self.folder / "orders"

    def word(self, what: str) -> str:
        """A word that nobody has written yet, by a kind of edit."""
        self.words += 1
        self.done[f"{WORD}{self.words:04}"] = what
        return f"{WORD}{self.words:04}"

    # -- What the team does --

    def work(self, picks: list[Pick]) -> None:
        """Lets the team do some things, and commit them."""
        for what, which, where in picks:
            names = [name for name in copies.rendered(self.service) if name not in (copies.ANSWERS_FILE, ".gitignore")]
            if names:
                TEAM[what](self, names[which % len(names)], where)
        copies.git(self.service, "add", "--all")
        copies.git(self.service, "commit", "--quiet", "--allow-empty", "--message", "Work")

    def insert(self, name: str, where: int) -> None:
        lines = (self.service / name).read_bytes().splitlines(keepends=True)
        lines.insert(where % (len(lines) + 1), f"{self.word(f'a line in {kind(name)}')}\n".encode())
        self.put(name, b"".join(lines))

    def rewrite(self, name: str, where: int) -> None:
        lines = (self.service / name).read_bytes().splitlines(keepends=True)
        if lines:
            lines[where % len(lines)] = f"{self.word(f'a changed line in {kind(name)}')}\n".encode()
        self.put(name, b"".join(lines))

    def delete(self, name: str, where: int) -> None:
        write(self.service, {name: None})

    def move(self, name: str, where: int) -> None:
        target = f"moved-{where % 2}/{Path(name).name}"
        if not (self.service / target).exists():
            content = (self.service / name).read_bytes()
            write(self.service, {name: None, target: content})

    def begin(self, name: str, where: int) -> None:
        self.put(f"{('a', 'b', 'own')[where % 3]}/own-{self.words}.md", self.word("a file").encode())

    def ignored(self, name: str, where: int) -> None:
        self.put(f"local-{where % 3}.rej", self.word("an ignored file").encode())

    def overlooked(self, name: str, where: int) -> None:
        flag = ("--skip-worktree", "--assume-unchanged")[where % 2]
        if copies.git(self.service, "ls-files", "--", name):
            subprocess.run(["git", "-C", self.service, "update-index", flag, name], check=False, capture_output=True)
            self.put(name, (self.service / name).read_bytes() + self.word(f"a line with {flag}").encode() + b"\n")

    def whitespace(self, name: str, where: int) -> None:
        copies.git(self.service, "config", "apply.whitespace", "error")
        self.put(name, (self.service / name).read_bytes() + self.word("a line with blanks").encode() + b"  \n")

    def put(self, name: str, content: bytes) -> None:
        write(self.service, {name: content})

    # -- What the template does --

    def release(self, picks: list[Pick]) -> None:
        """Lets the template do some things, and release them."""
        self.released = {}
        for what, which, where in picks:
            names = sorted(self.files.keys() - {".gitignore"})
            (TEMPLATE | CALM)[what](self, names[which % len(names)], where)
        self.version += 1
        shutil.rmtree(self.template / "template")
        files: Files = {outside(name): content for name, content in self.files.items()}
        write(
            self.template / "template", {"{{ _copier_conf.answers_file }}.jinja": "{{ _copier_answers|to_nice_yaml }}"}
        )
        write(self.template / "template", files)
        write(self.template, {"copier.yml": SETTINGS + self.asked})
        copies.git(self.template, "add", "--all")
        copies.git(self.template, "commit", "--quiet", "--allow-empty", "--message", "Release")
        copies.git(self.template, "tag", f"v{self.version}.0.0")

    def mend_the_end(self, name: str, where: int) -> None:
        if not name.endswith(".png"):
            self.mend(name, 8 + where % 4)

    def mend(self, name: str, where: int) -> None:
        lines = self.files[name].splitlines(keepends=True)
        if lines:
            lines[where % len(lines)] = f"mended in {self.version}, {where}\n".encode()
        self.change(name, b"".join(lines), "mended")

    def drop(self, name: str, where: int) -> None:
        if len(self.files) > 3:
            del self.files[name]
            self.released[name] = "removed"

    def shift(self, name: str, where: int) -> None:
        self.rename(name, f"shifted-{where % 2}/{Path(name).name}", "moved")

    def shift_folder(self, name: str, where: int) -> None:
        old, slash, _ = name.partition("/")
        for one in [one for one in self.files if slash and one.startswith(f"{old}/")]:
            self.rename(one, f"folder-{self.version}/{one.removeprefix(f'{old}/')}", "moved with its folder")

    def change_case(self, name: str, where: int) -> None:
        self.rename(name, name.swapcase(), "in another case")

    def into_folder(self, name: str, where: int) -> None:
        self.rename(name, f"{name}/inner.md", "a folder now")

    def add(self, name: str, where: int) -> None:
        target = (f"a/new-{self.version}-{where}.md", f"new-{where % 3}.md", f"local-{where % 3}.rej")[where % 3]
        if self.is_free(target):
            self.change(target, page(f"{target} of {self.version}").encode(), "added")

    def ask(self, name: str, where: int) -> None:
        if f"question_{self.version}" not in self.asked:
            self.asked += f"question_{self.version}:\n  type: int\n  default: {where}\n"

    def other_default(self, name: str, where: int) -> None:
        self.asked = self.asked.replace("default: orders\n", f"default: orders-{where}\n")

    def change(self, name: str, content: bytes, what: str) -> None:
        self.files[name] = content
        self.released[name] = what

    def rename(self, old: str, new: str, what: str) -> None:
        if new != old and self.is_free(new, but=old):
            self.files[new] = self.files.pop(old)
            self.names[new] = self.names.pop(old, old)
            self.released[old] = self.released[new] = what

    def is_free(self, name: str, but: str = "") -> bool:
        """Whether a file of that name can be beside the others, of which one goes."""
        others = self.files.keys() - {but}
        return not any(one == name or one.startswith(f"{name}/") or name.startswith(f"{one}/") for one in others)

    # -- What must hold --

    def update(self, choices: random.Random) -> None:
        """Updates, and resolves conflicts at random; fails where a promise is broken."""
        before, words = picture(self.service), self.words_in_the_tree()
        if self.plainly:
            return self.update_plainly(words)
        told = safe_update(self.service)
        assert told.code in (0, 1, 2), told.summary
        if told.code == 2:
            assert "overlook" in told.summary["reason"], told.summary["reason"]
            assert picture(self.service) == before
            return None
        lost = words - self.words_in_the_tree() - self.words_in_conflicts()
        assert not lost, f"{[self.done[word] for word in lost]} lost in {told.summary}"
        if choices.random() < 0.2:
            with redirect_stdout(io.StringIO()):
                assert undo(self.service) == 0
            assert picture(self.service) == before
            told = safe_update(self.service)
        if told.code == 1:
            self.resolve(told.conflicts, choices)
        assert copies.changed(self.service) == []
        assert safe_update(self.service).summary["outcome"] == "up to date"
        if choices.random() < 0.2:
            assert safe_update(self.service, data=["name=orders"]).summary["outcome"] == "up to date"
        return None

    def update_plainly(self, words: set[str]) -> None:
        try:
            plain_update(self.service)
        except Exception as error:
            self.losses[f"an update that ends with {type(error).__name__}"] += copies.changed(self.service) != []
            copies.git(self.service, "reset", "--quiet", "--hard")
            return
        where_was = dict(self.where_was)
        for word in words - self.words_in_the_tree() - self.words_in_conflicts():
            self.losses[f"{self.done[word]}, {where_was[word]}"] += 1
        copies.git(self.service, "add", "--all")
        copies.git(self.service, "commit", "--quiet", "--allow-empty", "--message", "Take what came")

    def update_calmly(self, edits: dict[str, list[tuple[int, bytes]]]) -> None:
        """Updates, where nobody has touched what another one did: it is as a new service with the team's edits."""
        told = safe_update(self.service)
        assert told.code == 0, told.summary
        shutil.rmtree(self.folder / "fresh", ignore_errors=True)
        fresh = copies.generate(self.template, self.folder / "fresh/orders", name=copies.answers(self.service)["name"])
        expected = {
            path.relative_to(fresh).as_posix(): path.read_bytes() for path in fresh.rglob("*") if path.is_file()
        }
        for name, content in expected.items():
            expected[name] = edited(content, edits.get(self.names.get(name, name), []))
        tracked = copies.git(self.service, "ls-files").splitlines()
        assert {name: (self.service / name).read_bytes() for name in tracked} == expected

    def words_in_the_tree(self) -> set[str]:
        """The team's words in all files of the service, ignored ones too; notes what the template did to each file."""
        found: set[str] = set()
        self.where_was = {}
        for path in self.service.rglob("*"):
            if path.is_file() and ".git" not in path.relative_to(self.service).parts:
                name = path.relative_to(self.service).as_posix()
                for word in words_in(path.read_bytes()):
                    found.add(word)
                    self.where_was[word] = self.released.get(name, "which the template left alone")
        return found

    def words_in_conflicts(self) -> set[str]:
        """The team's words in the sides of a conflict."""
        found: set[str] = set()
        for line in copies.git(self.service, "ls-files", "--unmerged").splitlines():
            blob = ["git", "-C", str(self.service), "cat-file", "blob", line.split()[1]]
            found |= words_in(subprocess.run(blob, capture_output=True, check=True).stdout)
        return found

    def resolve(self, conflicts: list[str], choices: random.Random) -> None:
        """Takes one side of each conflict, or both, and commits."""
        for name in conflicts:
            path, side = self.service / name, choices.choice(("theirs", "as it lies there"))
            theirs = ["git", "-C", str(self.service), "cat-file", "blob", f":3:{name}"]
            there = subprocess.run(theirs, capture_output=True, check=False)
            # An ignored file may lie where a folder of the path would be.
            is_free = not path.is_dir() and not any(one.is_file() for one in path.parents)
            if side == "theirs" and there.returncode == 0 and is_free and not path.name.endswith(".rej"):
                self.put(name, there.stdout)
            elif side == "theirs" and path.is_file() and not path.name.endswith(".rej"):
                path.unlink()
            add = ("add", "--force") if path.is_file() else ("rm", "--quiet", "--cached", "--ignore-unmatch")
            copies.git(self.service, *add, "--", name)
        copies.git(self.service, "commit", "--quiet", "--allow-empty", "--no-edit")


def edited(content: bytes, edits: list[tuple[int, bytes]]) -> bytes:
    """A text with the team's lines, each of them put before one of its first lines."""
    lines = content.splitlines(keepends=True)
    for line, text in sorted(edits, reverse=True):
        lines.insert(line, text)
    return b"".join(lines)


def outside(name: str) -> str:
    """A file's name in the template, where its own .gitignore must not count."""
    return f"{name}.jinja" if name == ".gitignore" else name


def kind(name: str) -> str:
    return "a binary" if name.endswith(".png") else "an ignored file" if name.endswith((".ini", ".rej")) else "a text"


def words_in(content: bytes) -> set[str]:
    parts = content.decode("latin-1").split(WORD)[1:]
    return {WORD + part[:4] for part in parts}


Action = Callable[[Case, str, int], None]
TEAM: dict[str, Action] = {
    one.__name__: one
    for one in (
        Case.insert, Case.rewrite, Case.delete, Case.move, Case.begin, Case.ignored, Case.overlooked, Case.whitespace
    )
}  # fmt: skip
TEMPLATE: dict[str, Action] = {
    one.__name__: one
    for one in (
        Case.mend, Case.drop, Case.shift, Case.shift_folder, Case.change_case, Case.into_folder, Case.add, Case.ask,
        Case.other_default,
    )
}  # fmt: skip

CALM: dict[str, Action] = {
    one.__name__: one
    for one in (
        Case.mend_the_end, Case.shift, Case.shift_folder, Case.change_case, Case.into_folder, Case.add, Case.ask,
    )
}  # fmt: skip


def picks(actions: dict[str, Action]) -> st.SearchStrategy[list[Pick]]:
    one = st.tuples(st.sampled_from(sorted(actions)), st.integers(0, 40), st.integers(0, 40))
    return st.lists(one, min_size=1, max_size=4)


Round = tuple[list[Pick], list[Pick]]
EDITS = st.lists(st.tuples(st.sampled_from([*NAMES, BINARY]), st.integers(0, 3)), max_size=6, unique=True)
ROUNDS = st.lists(st.tuples(picks(TEAM), picks(TEMPLATE)), min_size=1, max_size=2)


class Fuzz:
    """Runs cases, each on a new copy of the same beginning."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.cases, self.losses = folder / "case", 0, Counter[str]()
        self.origin = folder / "origin"
        self.files = {name: page(name).encode() for name in NAMES} | {BINARY: IMAGE, ".gitignore": b"*.ini\n*.rej\n"}
        self.folder.mkdir()
        make_template(self.folder / "template", {outside(name): content for name, content in self.files.items()})
        service = copies.generate_committed(self.folder / "template", self.folder / "orders")
        copies.git(service, "add", "--force", "app.ini")
        copies.git(service, "commit", "--quiet", "--message", "Track what is ignored")
        self.folder.rename(self.origin)

    def run(self, rounds: list[Round], seed: int, *, plainly: bool = False) -> None:
        """One case: the team works, the template has a release, the service is updated; once or twice."""
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.copytree(self.origin, self.folder, symlinks=True)
        case, choices = Case(self.folder, plainly, dict(self.files)), random.Random(seed)
        for work, releases in rounds:
            case.work(work)
            case.release(releases)
            case.update(choices)
        self.cases += 1
        self.losses += case.losses

    def run_calmly(self, edits: list[tuple[str, int]], releases: list[list[Pick]]) -> None:
        """One case in which the team edits the beginning of texts, and the template their end and their names."""
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.copytree(self.origin, self.folder, symlinks=True)
        case = Case(self.folder, files=dict(self.files))
        put: dict[str, list[tuple[int, bytes]]] = {}
        for name, line in edits:
            put.setdefault(name, []).append((line, f"{case.word('a line')}\n".encode()))
        for name, lines in put.items():
            case.put(name, edited((case.service / name).read_bytes(), lines))
        case.work([])
        for release in releases:
            case.release(release)
            case.update_calmly(put)
        self.cases += 1


def fuzz(folder: Path, number: int, *, plainly: bool = False, derandomize: bool = False) -> Fuzz:
    """Runs that many cases; fails with the smallest one that breaks a promise."""
    runner = Fuzz(folder)

    @bounded(number, derandomize)
    @hypothesis.given(ROUNDS, st.integers(0, 2**16))
    def cases(rounds: list[Round], seed: int) -> None:
        runner.run(rounds, seed, plainly=plainly)

    cases()
    return runner


def fuzz_calmly(folder: Path, number: int, *, derandomize: bool = False) -> Fuzz:
    """Runs that many cases in which nothing can conflict."""
    runner = Fuzz(folder)

    @bounded(number, derandomize)
    @hypothesis.given(EDITS, st.lists(picks(CALM), min_size=1, max_size=2))
    def cases(edits: list[tuple[str, int]], releases: list[list[Pick]]) -> None:
        runner.run_calmly(edits, releases)

    cases()
    return runner


def in_parts(work: Callable[[Path, int], Fuzz], folder: Path, number: int) -> tuple[int, Counter[str]]:
    """Runs that many cases or a few more on all processors; returns how many there were, and what was lost.

    Fails as soon as a part has failed. The processes are fresh ones, since forks would all draw the same cases.
    """
    cases, losses = 0, Counter[str]()
    parts = [folder / str(part) for part in range(ceil(number / PART))]
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        for part in parts:
            part.mkdir(parents=True)
        running = [pool.submit(work, part, ceil(number / len(parts))) for part in parts]
        try:
            for done in as_completed(running):
                cases += done.result().cases
                losses += done.result().losses
                sys.stderr.write(f"{folder.name}: {cases} of {number} cases\n")
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return cases, losses


def bounded(number: int, derandomize: bool) -> settings:
    """How hypothesis runs so many cases, each of which takes about a second."""
    return settings(
        max_examples=number,
        deadline=None,
        database=None,
        report_multiple_bugs=False,
        derandomize=derandomize,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )


def main() -> int:
    """Runs as many cases as asked for; prints how many there were, and what `copier update` loses in some."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=2000, help="how many cases for the safe update")
    parser.add_argument("--plain", type=int, default=300, help="how many cases for the plain update")
    arguments = parser.parse_args()
    with TemporaryDirectory() as folder:
        nobody = Path(folder) / "settings.yml"
        nobody.write_text("{}\n")
        os.environ |= {"COPIER_SETTINGS_PATH": str(nobody)}
        for who in ("AUTHOR", "COMMITTER"):
            os.environ |= {f"GIT_{who}_NAME": "Ada", f"GIT_{who}_EMAIL": "ada@example.com"}
        if arguments.plain:
            cases, lost = in_parts(partial(fuzz, plainly=True), Path(folder) / "plain", arguments.plain)
            sys.stdout.write(f"copier update loses work in {len(lost)} ways in {cases} cases:\n")
            sys.stdout.writelines(f"  {times:4} times {what}\n" for what, times in lost.most_common())
        safe, _ = in_parts(fuzz, Path(folder) / "safe", arguments.cases * 3 // 4)
        calm, _ = in_parts(fuzz_calmly, Path(folder) / "calm", arguments.cases // 4)
    sys.stdout.write(
        f"twelvefold update lost nothing in {safe + calm} cases; {calm} of them could not conflict, nor did.\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
