"""Each answer is refused with advice, or ends up in files that are still what they were, with the answer unchanged."""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from copier._main import Worker
from copier._user_data import Question
from markdown_it import MarkdownIt

from . import copies, formats
from .corpus import SEEDS, corpus

TEXT_QUESTIONS = [name for name, question in copies.asked().items() if name not in copies.choices()]
MARKERS = {"name": "zq-marker", "description": "Zqmarker", "owner": "@zq-marker"}

# What a refusal says: what to write instead, at once or after the reason.
ADVICE = re.compile(r"(Use|Say|Write|Leave (it )?out|Choose)\b.+\.|.+; (use|say|write|choose) .+\.", re.DOTALL)

# How many of the corpus are accepted and refused at least: neither all nor nothing.
LEAST = {"name": (30, 1000), "description": (900, 100), "owner": (8, 1000)}


@pytest.fixture(scope="module")
def worker(copier_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """Copier itself, with all questions answered by their defaults."""
    destination = tmp_path_factory.mktemp("questions") / "orders"
    with (
        Worker(src_path=str(copier_template), dst_path=destination, defaults=True, quiet=True) as worker,
        pytest.MonkeyPatch.context() as patch,
    ):
        # Copier compiles each validator and default again for each answer, which would take most of these tests' time.
        patch.setattr(worker.jinja_env, "from_string", cache(worker.jinja_env.from_string))
        worker._ask()
        yield worker


@pytest.mark.parametrize("name", copies.asked())
def test_a_question_has_a_type_and_asks_something(name: str) -> None:
    question = copies.asked()[name]
    assert question["type"] in ("str", "bool")
    assert re.fullmatch(r"[A-Z].*\?", question["help"])
    assert len(question["help"]) <= 80


@pytest.mark.parametrize("name", sorted(copies.questions().keys() - copies.asked().keys()))
def test_a_value_that_is_not_asked_for_has_a_type_and_a_default(name: str) -> None:
    hidden = name not in copies.recorded()
    assert copies.questions()[name].keys() == {"type", "default"} | ({"when"} if hidden else {"ask", "validator"})


def test_every_question_is_a_text_with_a_validator_or_a_choice() -> None:
    assert {name for name, question in copies.asked().items() if "validator" in question} == set(TEXT_QUESTIONS)
    assert set(TEXT_QUESTIONS) == MARKERS.keys() == LEAST.keys()


@pytest.mark.parametrize("name", TEXT_QUESTIONS)
def test_hostile_answers_are_refused_with_advice_or_shown_unchanged(worker: Worker, name: str) -> None:
    files = files_that_show(worker, name)
    before = {file: formats.read(file, text) for file, text in render(worker, files, **{name: MARKERS[name]})}
    accepted = [answer for answer in corpus() if not refused(worker, name, answer)]
    for answer in accepted:
        for file, text in render(worker, files, **{name: answer}):
            said = readable(file, text, answer)
            if name == "description":
                assert IN_FILES[file](said, before[file]) == answer, file
            else:
                assert said == with_answer(before[file], MARKERS[name], answer), file
    least_accepted, least_refused = LEAST[name]
    assert len(accepted) >= least_accepted
    assert len(corpus()) - len(accepted) >= least_refused


def test_a_package_is_a_module_s_name_whoever_gives_it(worker: Worker) -> None:
    accepted = [answer for answer in corpus() if not refused(worker, "package", answer)]
    assert accepted
    assert [answer for answer in accepted if not (answer.isascii() and answer.isidentifier())] == []


def test_every_file_that_shows_the_description_is_read_by_these_tests(worker: Worker) -> None:
    assert set(files_that_show(worker, "description").values()) == IN_FILES.keys()


def test_whole_services_with_hostile_answers_are_still_what_they_were(
    worker: Worker, copier_template: Path, tmp_path: Path
) -> None:
    taken = {name: accepted_seeds(worker, name) for name in TEXT_QUESTIONS}
    options = copies.choices()
    for number in range(0, len(SEEDS), 2):
        texts = {name: answers[number % len(answers)] for name, answers in taken.items()}
        chosen = {question: values[number % len(values)] for question, values in options.items()}
        service = copies.generate(copier_template, tmp_path / str(number), **texts, **chosen)
        copies.git(service, "init", "--quiet")
        for shown, text in copies.contents(service).items():
            readable(shown, text, texts)
        answers = copies.answers(service)
        assert {name: answers[name] for name in (*texts, *chosen)} == {**texts, **chosen}


@pytest.mark.parametrize(
    ("name", "description"),
    [
        ("hostile", """It's "$HOME" `id` \\ {{ 7 }} {% x %} 😀 #1: <b> & %s $(id) é\u0301 שלום"""),
        ("a", "B"),
        ("a-service-with-forty-characters-in-its-n", "x" * 120),
    ],
    ids=["hostile", "shortest", "longest"],
)
def test_a_service_with_extreme_answers_passes_its_own_checks(
    copier_template: Path, tmp_path: Path, name: str, description: str
) -> None:
    service = tmp_path / "orders"
    answers = {"name": name, "description": description, "python": copies.default_python(), "catalog": True}
    copies.generate_committed(copier_template, service, **answers)
    copies.make(service, "setup", "format", "derive", "lint")
    assert [line for line in copies.changed(service) if not line.endswith(" uv.lock")] == []
    installed = copies.run(".venv/bin/python", "-c", SUMMARY, name, cwd=service)
    assert installed.removesuffix("\n") == description


@pytest.mark.parametrize("name", TEXT_QUESTIONS)
def test_a_refused_answer_writes_nothing(worker: Worker, copier_template: Path, tmp_path: Path, name: str) -> None:
    by_advice = {advice: answer for answer in corpus() if (advice := refused(worker, name, answer))}
    kinds = {re.sub(r"^\S+ means|\S+-service", "", advice): answer for advice, answer in by_advice.items()}
    for answer in kinds.values():
        with pytest.raises(ValueError, match=f"^Validation error for question '{name}'"):
            copies.generate(copier_template, tmp_path / "refused", **{name: answer})
        assert not list(tmp_path.iterdir())
    assert len(kinds) == len(re.findall("{% (el)?if ", copies.questions()[name]["validator"]))


@pytest.mark.parametrize("answer", ["name=Orders", "description=", "description=\udcff", "description=a\nb", "owner=x"])
def test_the_last_line_of_copier_s_command_is_the_advice(copier_template: Path, tmp_path: Path, answer: str) -> None:
    told = copies.copier_command("copy", "--defaults", "--data", answer, copier_template, "orders", cwd=tmp_path)
    assert told.returncode != 0
    name = answer.partition("=")[0]
    _, _, advice = told.stderr.strip().rpartition(f"\nValueError: Validation error for question '{name}': ")
    assert ADVICE.fullmatch(advice)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", copies.choices())
def test_an_answer_that_is_not_offered_is_refused(worker: Worker, name: str) -> None:
    offered = copies.choices()[name]
    if copies.asked()[name]["type"] == "bool":
        assert {question(worker, name).parse_answer(text) for text in ("yes", "no")} == set(offered)
        return
    for answer in [*corpus()[::5], *(f"{value}x" for value in offered), *(f" {value}" for value in offered)]:
        with pytest.raises(ValueError, match=f"^Invalid choice for '{name}': .* is not in "):
            question(worker, name).parse_answer(answer)
    for value in offered:
        assert question(worker, name).parse_answer(value) == value


@pytest.mark.parametrize(
    ("folder", "default"),
    [
        ("orders", "orders"),
        ("Order-History", "order-history"),
        ("My Orders", "my-service"),
        ("or_ders", "my-service"),
        ("json", "my-service"),
        ("2026", "my-service"),
        ("x" * 40, "x" * 40),
        ("x" * 41, "my-service"),
    ],
)
def test_a_service_is_called_like_its_folder_where_it_can_be(
    copier_template: Path, tmp_path: Path, folder: str, default: str
) -> None:
    with Worker(src_path=str(copier_template), dst_path=tmp_path / folder, defaults=True, quiet=True) as worker:
        worker._ask()
        assert worker.answers.combined["name"] == default


SUMMARY = "import importlib.metadata, sys; print(importlib.metadata.metadata(sys.argv[1])['Summary'])"


def paragraph(after: str, before: str) -> str:
    """The text below the title of a Markdown file, provided that all else is what it was."""
    blocks = MarkdownIt().parse(after)
    assert [(block.type, block.level) for block in blocks] == outline(before)
    below_title = blocks[4].children or []
    assert {part.type for part in below_title} <= {"text", "text_special"}
    return "".join(part.content for part in below_title)


@cache
def outline(text: str) -> list[tuple[str, int]]:
    return [(block.type, block.level) for block in MarkdownIt().parse(text)]


# Where the description is shown, and how it is read there, given what the file says and what it says for another one.
IN_FILES: dict[str, Callable[[Any, Any], str]] = {
    copies.ANSWERS_FILE: lambda after, before: after[0]["description"],
    "README.md": paragraph,
    "catalog-info.yaml": lambda after, before: after[0]["metadata"]["description"],
    "pyproject.toml": lambda after, before: after["project"]["description"],
}


def question(worker: Worker, name: str) -> Question:
    details = worker.template.questions_data[name]
    context = worker._render_context()
    return Question(var_name=name, answers=worker.answers, context=context, jinja_env=worker.jinja_env, **details)


def refused(worker: Worker, name: str, answer: str) -> str | None:
    """What Copier says against an answer, without the question's name; nothing when it takes the answer as it is."""
    asked = question(worker, name)
    parsed = asked.parse_answer(answer)
    assert parsed == answer
    try:
        asked.validate_answer(parsed)
    except ValueError as error:
        advice = str(error).removeprefix(f"Validation error for question '{name}': ")
        assert ADVICE.fullmatch(advice), f"{answer!r}: {advice}"
        return advice
    return None


def accepted_seeds(worker: Worker, name: str) -> list[str]:
    """One answer of each kind, where Copier takes one of that kind."""
    found = ((seed for seed in seeds if not refused(worker, name, seed)) for seeds in SEEDS.values())
    return [seed for seeds in found for seed in [next(seeds, None)] if seed is not None]


def files_that_show(worker: Worker, name: str) -> dict[Path, str]:
    """The files of the template whose result shows an answer, each with the name that it gets."""
    root = worker.template_copy_root
    every = {path.relative_to(root): "" for path in sorted(root.rglob("*.jinja"))}
    for path in every:
        for file, _ in worker._render_path(path):
            every[path] = file.as_posix()
    shown = {file for file, text in render(worker, every, **{name: MARKERS[name]}) if shows(text, MARKERS[name])}
    return {path: file for path, file in every.items() if file in shown}


def with_answer(said: Any, marker: str, answer: str) -> Any:
    """What a file says, with an answer in the place of the one that it was made with, as Python's name too."""
    if isinstance(said, dict):
        return {with_answer(key, marker, answer): with_answer(value, marker, answer) for key, value in said.items()}
    if isinstance(said, list):
        return [with_answer(value, marker, answer) for value in said]
    if isinstance(said, str):
        return said.replace(marker, answer).replace(marker.replace("-", "_"), answer.replace("-", "_"))
    return said


def shows(text: str, answer: str) -> bool:
    return answer in text or answer.replace("-", "_") in text


def render(worker: Worker, files: Mapping[Path, str], **answers: str) -> Iterator[tuple[str, str]]:
    """Makes some files of a service with these answers, as Copier does, without writing them."""
    worker.data = {"licence": "MIT", **answers}  # which has a LICENSE
    worker._ask()
    context = worker._render_context()
    for path, file in files.items():
        source = worker.template_copy_root.relative_to(worker.template.local_abspath) / path
        yield file, worker.jinja_env.get_template(source.as_posix()).render(context)


def readable(file: str, text: str, answers: object) -> Any:
    try:
        return formats.read(file, text)
    except Exception as error:
        raise AssertionError(f"{file} is broken by {answers!r}:\n{text}") from error
