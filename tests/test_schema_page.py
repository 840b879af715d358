"""The page about the schema says what the schema says."""

import pytest

from deploy.schema_page import PAGE, page


def test_the_page_says_what_the_schema_says(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--write-golden"):
        PAGE.write_text(page(), encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == page(), (
        f"{PAGE} is not what the schema says: write it anew with `pytest tests/test_schema_page.py --write-golden`"
    )
