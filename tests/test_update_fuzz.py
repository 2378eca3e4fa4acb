"""A few of the cases that `nox -s update-fuzz` runs by the thousand."""

from pathlib import Path

import pytest
from pytest_gitconfig.plugin import GitConfig

from .update_fuzz import fuzz, fuzz_calmly

# What Copier leaves open when it fails.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


def test_whatever_template_and_team_do_no_line_of_the_team_s_is_lost(
    default_gitconfig: GitConfig, tmp_path: Path
) -> None:
    assert fuzz(tmp_path, 8, derandomize=True).cases >= 8


def test_changes_that_do_not_touch_give_a_new_service_with_the_team_s_edits(
    default_gitconfig: GitConfig, tmp_path: Path
) -> None:
    assert fuzz_calmly(tmp_path, 5, derandomize=True).cases >= 5


def test_the_same_cases_find_what_the_plain_update_loses(default_gitconfig: GitConfig, tmp_path: Path) -> None:
    assert fuzz(tmp_path, 8, plainly=True, derandomize=True).losses
