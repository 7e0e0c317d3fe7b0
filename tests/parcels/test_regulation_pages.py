"""The worked checks of the pages on regulation and housing supply are run."""

import doctest
from pathlib import Path

import pytest

METHODS = Path(__file__).parents[2] / "docs" / "methods"


@pytest.mark.parametrize("page", ["regulation", "housing_supply"])
def test_the_worked_check_gives_what_the_page_says(page):
    done = doctest.testfile(
        str(METHODS / f"{page}.md"), module_relative=False, encoding="utf-8", optionflags=doctest.NORMALIZE_WHITESPACE
    )
    assert done.attempted >= 5
    assert done.failed == 0
