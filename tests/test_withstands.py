"""What is wrong is refused with its place and the data stay, byte for byte; what is taken is right.

Tables, their description and publications are broken at random. `IAPT_EXAMPLES=2000 pytest -s tests/test_withstands.py`
looks for longer and prints how many tries were refused and taken.
"""

import csv
import io
import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from publishing import AUGUST_2025, NEXT, change, digest, read_rows, search, shrink_data, write_csv

from iapt import cli, data
from iapt.paths import ROOT

COUNTS = {kind: Counter() for kind in ("cells", "bytes", "descriptions", "publications")}
FIELDS = {
    part["name"]: {field["name"]: field for field in part["schema"]["fields"]}
    for part in json.loads((ROOT / "data" / "datapackage.json").read_text(encoding="utf-8"))["resources"]
}


class Copy:
    """A folder of tables, and how they were."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.files = folder, {path.name: path.read_bytes() for path in folder.iterdir()}

    def write(self, name: str, content: bytes) -> None:
        """Replace one file, every other one being as it was."""
        for other, old in (self.files | {name: content}).items():
            if (path := self.folder / other).read_bytes() != old:
                path.write_bytes(old)
        data.forget()


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A copy of the data with fewer figures, which `iapt` uses here."""
    with pytest.MonkeyPatch.context() as patch:
        yield Copy(shrink_data(tmp_path_factory.mktemp("small"), patch))
    for kind, counts in COUNTS.items():
        print(f"{kind}: {counts.total()} tries, " + ", ".join(f"{number} {what}" for what, number in counts.items()))


def read(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline="")))


VALUES = st.one_of(
    st.text(max_size=12),
    st.integers(-5, 10**9).map(str),
    st.decimals(allow_nan=True, allow_infinity=True).map(str),
    st.dates().map(str),
    st.sampled_from(["", "*", "2018-19", "2018-19 Q3", "2019-02", "2031-01", "0000-01", "9" * 400, "=1+1", "1e5", "recovered",
                     "nhs-annual-report", "recovery_rate", "QJK", "1600-01-01", "2999-01-01"]),
)  # fmt: skip


@search(24)
@given(st.data())
def test_a_cell_that_is_changed_is_refused_with_its_place_or_read_as_it_stands(small, draw):
    table = draw.draw(st.sampled_from(sorted(FIELDS)), "table")
    rows = read(small.files[f"{table}.csv"])
    row, column = draw.draw(st.integers(0, len(rows) - 1), "row"), draw.draw(st.sampled_from(sorted(FIELDS[table])), "column")
    same = FIELDS[table][column].get("constraints", {}).get("enum") or sorted({row[column] for row in rows})
    rows[row][column] = text = draw.draw(VALUES | st.sampled_from(same), "value")
    small.write(f"{table}.csv", write_csv([list(rows[0]), *([*row.values()] for row in rows)]))
    problems = data.check()
    COUNTS["cells"]["refused" if problems else "taken and right"] += 1
    if problems:
        assert all(problem.file.endswith(".csv") and problem.row and problem.column for problem in problems), problems
    else:
        value = data.load()[table][column].iloc[row]
        number = FIELDS[table][column]["type"] in ("number", "integer")
        assert (value == float(text) or (text == "" and value != value)) if number else value == text


@search(16)
@given(st.data())
def test_bytes_that_are_changed_are_refused_with_their_file_or_the_rest_is_as_before(small, draw):
    table = draw.draw(st.sampled_from(sorted(FIELDS)), "table")
    content = small.files[f"{table}.csv"]
    start, length = draw.draw(st.integers(0, len(content)), "start"), draw.draw(st.integers(0, 20), "length")
    new = draw.draw(st.binary(max_size=8) | st.sampled_from([b"\r\n", b",", b'"', b"\n", b",,,,\n"]), "new")
    small.write(f"{table}.csv", content[:start] + new + content[start + length :])
    problems = data.check()
    COUNTS["bytes"]["refused" if problems else "taken and right"] += 1
    assert all(problem.file for problem in problems)
    if not problems:
        rows = read((small.folder / f"{table}.csv").read_bytes())
        assert list(rows[0]) == list(FIELDS[table]) and len(rows) == len(data.load()[table])


def list_nodes(node: object) -> list[tuple[object, object]]:
    """Each place in a JSON document: the list or object that holds it, and its index or name there."""
    inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [place for name, part in inner for place in [(node, name), *list_nodes(part)]]


@search(16)
@given(st.data())
def test_a_description_that_is_damaged_is_refused_or_describes_the_same_tables(small, draw):
    described = json.loads(small.files["datapackage.json"])
    holder, name = draw.draw(st.sampled_from(list_nodes(described["resources"])), "place")
    holder[name] = draw.draw(st.none() | st.integers() | st.text(max_size=5) | st.just([]) | st.just({}), "value")
    small.write("datapackage.json", json.dumps(described).encode())
    problems = data.check()
    COUNTS["descriptions"]["refused" if problems else "taken and right"] += 1
    assert all(problem.file and problem.message for problem in problems)
    if not problems:
        assert {table: list(rows) for table, rows in data.load().items()} == {t: list(fields) for t, fields in FIELDS.items()}


ROWS = [number for number, row in enumerate(read_rows(AUGUST_2025)) if row[2] == "England"]


@search(8)
@given(st.data())
def test_a_publication_with_another_cell_is_refused_doubted_or_taken_as_it_stands(small, tmp_path_factory, draw):
    rows = list(csv.reader(io.StringIO(change(month=NEXT).decode())))
    row, column = draw.draw(st.sampled_from(ROWS), "row"), draw.draw(st.integers(0, len(rows[0]) - 1), "column")
    text = draw.draw(VALUES | st.sampled_from(sorted({row[column] for row in rows})[:50]), "value")
    if draw.draw(st.booleans(), "a figure"):
        column = rows[0].index("MEASURE_VALUE_SUPPRESSED")
    rows[row][column] = text
    path = tmp_path_factory.getbasetemp() / "withstands.csv"
    path.write_bytes(write_csv(rows))
    small.write("england.csv", small.files["england.csv"])
    before, ended = digest(small.folder), cli.main(["add", str(path)])
    COUNTS["publications"][("taken and right", "doubted", "refused")[ended]] += 1
    if ended:
        assert digest(small.folder) == before
    else:
        taken = {row["measure"]: row["value"] for row in read((small.folder / "england.csv").read_bytes()) if row["period"] == NEXT}
        named = {row["nhs_id"]: row["measure"] for row in read(small.files["measures.csv"])}
        printed = {named[row[7]]: row[9].strip() for row in rows[1:] if row[2] == "England" and row[7] in named}
        assert taken and all(float(printed[measure]) == float(value) for measure, value in taken.items())
