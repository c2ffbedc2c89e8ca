"""The pages for users say what the code says."""

from __future__ import annotations

import pytest
from tests.pages import PARTS, ROOT, replace_part


@pytest.mark.parametrize("name", sorted(PARTS))
def test_a_part_that_is_made_from_the_code_is_up_to_date(name: str) -> None:
    """`nox -s pages` writes it."""
    file, make = PARTS[name]
    page = (ROOT / file).read_text(encoding="utf-8")

    assert page == replace_part(page, name, make())
