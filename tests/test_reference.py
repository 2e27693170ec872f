"""Every reference table names what printed it."""

import re

import pytest
from r_tables import REFERENCE, r_table

TABLES = sorted(REFERENCE.glob("*.csv"))
MADE = re.compile(
    r"# R \d+\.\d+\.\d+, (?P<versions>.+); made by (?P<script>\w+\.R)(?:; data: (?P<data>.+))?"
)


def first_line(path) -> re.Match:
    with path.open(encoding="utf-8") as lines:
        found = MADE.fullmatch(next(lines).rstrip("\n"))
    assert found, (
        f"the first line of {path.name} does not name R, its packages and the script: write it with write_csv of versions.R"
    )
    return found


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.stem)
def test_a_table_names_the_versions_that_printed_it(path):
    found = first_line(path)
    versions = dict(entry.split(" ") for entry in found["versions"].split(", "))
    assert set(versions) == {"lavaan", "psych", "semTools", "GPArotation"}
    assert all(re.fullmatch(r"\d+(\.\d+)+", version) for version in versions.values())
    assert (REFERENCE / found["script"]).is_file()


def test_all_tables_of_a_script_are_from_one_run_of_it():
    told: dict[str, set] = {}
    for path in TABLES:
        found = first_line(path)
        told.setdefault(found["script"], set()).add(found["versions"])
    assert len(told) > 15 and all(len(versions) == 1 for versions in told.values())


def test_data_that_are_no_figures_of_ours_say_where_they_come_from():
    assert all(
        first_line(REFERENCE / f"{name}.csv")["data"]
        for name in ("hs", "pd", "bfi", "hs_missing", "ordinal_hs", "ordinal_binary")
    )


def test_the_line_is_no_part_of_the_table():
    assert list(r_table("hs").columns[:2]) == ["id", "sex"] and len(r_table("hs")) == 301


def test_every_script_writes_its_tables_with_that_line():
    for script in REFERENCE.glob("*.R"):
        if script.name != "versions.R":
            assert not re.search(r"write\.(csv|table)\(", script.read_text("utf-8")), script.name
