"""What server/README.md says of threats is tested: each row names tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
README = (TESTS.parent / "server" / "README.md").read_text()
TABLE = README.partition("| threat | control | test |")[2].partition("\n\n")[0].splitlines()[2:]
FILES = list(TESTS.rglob("test_*.py"))
SOURCES = [file.read_text() for file in FILES]


def test_there_is_a_table() -> None:
    assert len(TABLE) > 10


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.split("|")[1].strip())
def test_each_threat_has_a_control_and_tests_that_exist(row: str) -> None:
    _, threat, control, tests, _ = (cell.strip() for cell in row.split("|"))
    assert threat
    assert control
    names = re.findall(r"`(test_\w+(?:\.py)?)`", tests)
    assert ", ".join(f"`{name}`" for name in names) == tests
    for name in names:
        if name.endswith(".py"):
            assert name in [file.name for file in FILES]
        else:
            assert any(re.search(rf"^(async )?def {name}\(", text, re.MULTILINE) for text in SOURCES), name
