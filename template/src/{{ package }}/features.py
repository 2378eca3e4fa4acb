"""The list of features that the process types load: the only module that names them."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastapi import APIRouter

FEATURES: tuple[str, ...] = ("notes",)


def routers() -> Iterator[APIRouter]:
    """The routes of every feature."""
    for feature in FEATURES:
        yield import_module(f".{feature}.routes", __package__).router
