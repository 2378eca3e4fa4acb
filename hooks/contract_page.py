"""Writes docs/factors-toml.md from what the companion command reads: `python -m hooks.contract_page`."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
CONTRACT = ROOT / "src/twelvefold/harness/contract.py"
PAGE = ROOT / "docs/factors-toml.md"

INTRODUCTION = """\
# factors.toml

Made by `nox -s derived` from `src/twelvefold/harness/contract.py`; not to be edited.

The file says where the experiments have to look. Everything but `name` may be left out: the claims that need an entry
are then `not_run`, and say which one they miss. `template/factors.toml.jinja` is a complete example.
"""

# What a word alone says well enough in the code.
PLAIN = {
    "name": "The service's name.",
    "process": "The name of its process type.",
    "port": "The variable of the port that it listens on.",
    "ready": "The path of its readiness.",
    "live": "The path of its liveness.",
    "metrics": "The path of its metrics.",
    "create": "The method and path that create one.",
    "status": "The status of the answer to that.",
    "read": "The method and path that read one.",
    "list": "The method and path that list them.",
    "delete": "The method and path that delete one.",
    "kind": "`postgres`, `cache` or `other`.",
    "url": "The variable of its URL.",
    "required": "Whether nothing runs without it.",
}


def page() -> str:
    """The whole page."""
    classes = {node.name: node for node in ast.parse(CONTRACT.read_text()).body if isinstance(node, ast.ClassDef)}
    lines = [INTRODUCTION, *_section("At the top", classes["Contract"], classes)]
    for name, kind, _, _ in _fields(classes["Contract"]):
        table = next((one for one in classes if one in kind.replace("[", " ").replace("]", " ").split()), None)
        if table is not None:
            title = f"`[{name}.NAME]`" if kind.startswith("dict") else f"`[{name}]`"
            lines += _section(title, classes[table], classes)
    return "\n".join(lines)


def _section(title: str, table: ast.ClassDef, classes: dict[str, ast.ClassDef]) -> Iterator[str]:
    about = ast.get_docstring(table) or ""
    yield f"## {title}\n"
    if title.startswith("`"):
        yield f"{about}\n"
    yield "| Entry | Without it | Meaning |\n| --- | --- | --- |"
    for name, kind, default, meaning in _fields(table):
        if not any(one in kind for one in classes):
            yield f"| `{name}` | {default} | {meaning or PLAIN[name]} |"
    yield ""


def _fields(table: ast.ClassDef) -> Iterator[tuple[str, str, str, str]]:
    """Each entry with its type, its default in words, and what the code says of it."""
    for node, after in zip(table.body, [*table.body[1:], None], strict=True):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            meaning = ""
            if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
                meaning = " ".join(str(after.value.value).split())
            yield node.target.id, ast.unparse(node.annotation), _default(node.value), meaning


def _default(value: ast.expr | None) -> str:
    if value is None or isinstance(value, ast.Call):
        return "–" if isinstance(value, ast.Call) and value.args == [] and not value.keywords else "needed"
    said = ast.literal_eval(value)
    if said is None or said in ([], {}):
        return "–"
    return f"`{str(said).lower() if isinstance(said, bool) else said}`".replace("'", '"')


def main() -> int:
    """Writes the page."""
    PAGE.write_text(page())
    return 0


if __name__ == "__main__":
    sys.exit(main())
