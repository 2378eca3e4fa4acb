"""1,500 answers of the kind that break templates, and some that people really give; the same ones each time."""

from itertools import product
from random import Random

SIZE = 1500

# Where a seed stands: alone, at an edge, between words, and inside the form that each question asks for.
PLACES = (
    "{}",
    "{}orders",
    "orders{}",
    "or{}ders",
    "Keeps {} for later.",
    " {} ",
    "@{}",
    "@acme/{}",
    "@{}/team",
    "my-{}",
)


def words(text: str) -> list[str]:
    return text.split()


# fmt: off
SEEDS: dict[str, list[str]] = {
    "plain": [
        "Keeps notes.", "Sells 3 kinds of tea, and tells you why", "Zählt Brücken — schnell", "C++ & Rust: 100 % fun?",
        *words("orders a order-history x1 my-service-2 billing 注文 Keeps_notes"),
        *words("@acme/platform @ada @ada-lovelace @acme/data_team @a/b.c"),
    ],
    "keywords": words("None True and await case class def del for from if in is lambda match not pass type yield _"),
    "modules": words("""
        json email types fastapi alembic tests python site code test string queue select secrets platform token typing
        io os re sys time this logging http html xml uuid http-server py-compile psycopg-pool python-dotenv activate
    """),
    "quotes": [
        "'", '"', "'''", '"""', "''", '""', "`", "``", "```", "«»", "“”", "\\", "\\\\", "\\'", '\\"', "\\N{DASH}",
        "\\x41",
    ],
    "newlines": [
        "\n", "\r", "\r\n", "\n\n", "\v", "\f", "\x85", "\u2028", "\u2029", "a\nb: c", "\\n", "\n\n[tool]\n", "\n# x",
        "orders\n", "@ada\n", "@acme/orders\n", "\norders", "orders\r",
    ],
    "Jinja": [
        "{{ 7 * 7 }}", "{% raw %}", "{% if x %}", "{# c #}", "{{", "}}", "{%", "%}", "{{ _copier_conf }}", "{{{x}}}",
    ],
    "astral characters": ["😀", "👩‍👩‍👧", "🇩🇪", "𝕆rders", "\U0010ffff", "\U0001f3f4\U000e0067", "𐍈"],
    "control characters": [
        *map(chr, range(0x20)), "\x7f", *map(chr, range(0x80, 0xA0, 7)), "\x1b[31m", "\ufeff",
    ],
    "non-characters": ["\ufffe", "\uffff", "\ufffd", "\ud800", "\udfff", "\udc80", "\ud83d\ude00"],
    "paths": words(r"../ ../../etc/passwd /etc/passwd ~ ~/x C:\x .. . ./x a/b //x file:///x x/../y"),
    "YAML": [
        ": ", "#", " #", "- a", "&a", "*a", "!x", "!!str", "|", ">", "%", "@", "yes", "no", "null", "1e3", "0x1F",
        "12:30", "2026-11-21", "[a]", "{a: b}", "? a", "---", "...", "<<", "true", ".inf", "=", "0o17", "1_000", "on",
        "off",
    ],
    "TOML": ["[[a]]", "a = 1", "\\u0041", "inf", "nan", "1979-05-27", "a.b = ''"],
    "shell": words("$HOME ${HOME} $(id) `id` ;id |id & && >x <x * ? ! !! $$ \\$x -rf --help x;y #!/bin/sh"),
    "Make and Docker": ["$(shell id)", "$@", "$<", "%.o", "\t", "\\\n", "$${x}", "${x:-y}", "# syntax=x", "FROM x"],
    "GitHub": words("${{github.token}} ::error::x @@ @acme//x @-acme @acme/ @acme/-x @acme/.. @a/b/c #1 GH-1"),
    "Markdown": [
        "# x", "## x", "1. x", "1) x", "> x", "===", "*x*", "_x_", "__x__", "~~x~~", "[x](y)", "![x](y)", "|a|b|",
        "<!--", "-->", "<script>", "</p>", "&amp;", "&#65;", "http://x.y", "a@b.c", "    x", "***", "[^1]", "[x]: y",
        "<b>", "\\*",
    ],
    "JSON": ["{}", "[]", '{"a": 1}', "\\u0000", "\\/", "NaN"],
    "Python": [
        "%s", "%(x)s", "{x}", "{0}", "{x!r}", "f''", "lambda: 0", "__import__('os')", "# type: ignore", "# noqa",
        "import x",
    ],
    "blanks": [" ", "  ", "\u00a0", "\u2003", "\u3000", "\u200b", "\u2060", ""],
    "look-alikes": [
        *words("оrders оrdеrѕ ｏｒｄｅｒｓ é ﬁ İ ß K ªº ½ ² ٣"), "e\u0301", "o\u0335", "z\u0351\u0352\u0353",
    ],
    "directions": [
        *words("\u200e \u200f \u202a \u202b \u202c \u202d \u202e \u2066 \u2067 \u2069 שלום مرحبا"),
    ],
    "cases and hyphens": words("Orders ORDERS oRDERS -orders orders- or--ders or_ders _x 1orders - -- 0 a-1"),
    "lengths": [
        "x" * 300, "é" * 300, "😀" * 300, "x" * 40, "x" * 41, "x-" * 20 + "y", "x " * 59 + "xx", "x" * 121,
        "'" * 119 + "x",
    ],
    "devices": words("con nul aux com1 lpt1 con.txt prn"),
}
# fmt: on


def corpus() -> list[str]:
    """Each seed alone, then a fixed sample of the seeds in all places; no string twice."""
    seeds = list(dict.fromkeys(seed for group in SEEDS.values() for seed in group))
    placed = [place.replace("{}", seed) for place, seed in product(PLACES[1:], seeds)]
    more = [text for text in dict.fromkeys(placed) if text not in set(seeds)]
    return seeds + Random(12).sample(more, SIZE - len(seeds))
