"""What the process types take from the features: each feature may have a module of its own for each of them."""

from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

from .features import FEATURES


def of_features(part: str) -> Iterator[ModuleType]:
    """The modules of this name, such as `admin`, of the features that have one."""
    for feature in FEATURES:
        if find_spec(name := f"{__package__}.{feature}.{part}"):
            yield import_module(name)
