"""What is wrong is refused with its place and the data stay, byte for byte; what is taken is right.

Tables, their description, publications, files and parameters are broken at random. `make attack` looks for longer and
prints how the tries of each kind ended.
"""

import csv
import gzip
import io
import json
import signal
from collections import Counter
from collections.abc import Callable
from functools import wraps
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from publishing import AUGUST_2025, EXAMPLES, NEXT, change, digest, read_rows, search, shrink_data, write_csv, zip_files

from iapt import cli, data, parameters, runs
from iapt.data.publications import Refusal
from iapt.data.publications import read as read_publication
from iapt.paths import ROOT

ENDS = ("refused", "taken and right", "wrong", "lost", "tracebacks", "hangs")
PATIENCE = 60
"""Seconds after which a try hangs."""

counts: dict[str, Counter[str]] = {}
FIELDS = {
    part["name"]: {field["name"]: field for field in part["schema"]["fields"]}
    for part in json.loads((ROOT / "data" / "datapackage.json").read_text(encoding="utf-8"))["resources"]
}


class Lost(AssertionError):
    """Data have changed that should not have."""


class Hang(Exception):
    """A try takes too long."""


def counted(test: Callable[..., str]) -> Callable[..., None]:
    """Count how each try of a test ends: as it says itself, or by what it raises."""
    ended = counts.setdefault(test.__name__.split("_")[2], Counter())

    def stop(*_: object) -> None:
        raise Hang

    @wraps(test)
    def attempt(*arguments: object, **named: object) -> None:
        before = signal.signal(signal.SIGALRM, stop)
        signal.alarm(PATIENCE)
        try:
            ended[test(*arguments, **named)] += 1
        except Exception as error:
            kinds = {Lost: "lost", AssertionError: "wrong", Hang: "hangs", Exception: "tracebacks"}
            ended[next(end for kind, end in kinds.items() if isinstance(error, kind))] += 1
            raise
        finally:
            signal.alarm(0)
            signal.signal(signal.SIGALRM, before)

    return attempt


@pytest.fixture(scope="module", autouse=True)
def table_of_counts(request):
    yield
    lines = [f"\n{'kind':<14}{'tries':>7}", *(f"{kind:<14}{ended.total():>7}" for kind, ended in counts.items())]
    numbers = [ENDS, *([ended[end] for end in ENDS] for ended in counts.values())]
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        for line, row in zip(lines, numbers if EXAMPLES else []):
            print(line, *(f"{number:>16}" for number in row), sep="")


class Copy:
    """A folder of tables, and how they were."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.files = folder, {path.name: path.read_bytes() for path in folder.iterdir()}

    def write(self, name: str, content: bytes) -> None:
        """Replace one file, every other one being as it was."""
        new = {other: old for other, old in (self.files | {name: content}).items() if (self.folder / other).read_bytes() != old}
        for other, old in new.items():
            (self.folder / other).write_bytes(old)
        if new:
            data.forget()

    def check(self) -> list[data.Problem]:
        """What is wrong with the tables, which checking leaves as they are."""
        before, problems = digest(self.folder), data.check()
        if digest(self.folder) != before:
            raise Lost
        return problems


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A copy of the data with fewer figures, which `iapt` uses here."""
    with pytest.MonkeyPatch.context() as patch:
        yield Copy(shrink_data(tmp_path_factory.mktemp("small"), patch))


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


@search(16)
@given(st.data())
@counted
def test_in_cells_what_is_changed_is_refused_with_its_place_or_read_as_it_stands(small, draw):
    table = draw.draw(st.sampled_from(sorted(FIELDS)), "table")
    rows = read(small.files[f"{table}.csv"])
    row, column = draw.draw(st.integers(0, len(rows) - 1), "row"), draw.draw(st.sampled_from(sorted(FIELDS[table])), "column")
    same = FIELDS[table][column].get("constraints", {}).get("enum") or sorted({row[column] for row in rows})
    rows[row][column] = text = draw.draw(VALUES | st.sampled_from(same), "value")
    whole = [list(rows[0]), *([*row.values()] for row in rows)]
    small.write(f"{table}.csv", write_csv(whole, csv.QUOTE_ALL))  # else a carriage return would end the row
    if problems := small.check():
        assert all(problem.file.endswith(".csv") and problem.row and problem.column for problem in problems), problems
        return "refused"
    value = data.load()[table][column].iloc[row]
    number = FIELDS[table][column]["type"] in ("number", "integer")
    assert value == (float(text) if number and text else text) or (number and text == "" and value != value)
    return "taken and right"


@search(16)
@given(st.data())
@counted
def test_in_bytes_what_is_changed_is_refused_with_its_file_or_the_rest_is_as_before(small, draw):
    table = draw.draw(st.sampled_from(sorted(FIELDS)), "table")
    small.write(f"{table}.csv", damage(draw, small.files[f"{table}.csv"]))
    if problems := small.check():
        assert all(problem.file for problem in problems)
        return "refused"
    rows = read((small.folder / f"{table}.csv").read_bytes())
    assert list(rows[0]) == list(FIELDS[table]) and len(rows) == len(data.load()[table])
    return "taken and right"


def damage(draw, content: bytes) -> bytes:
    """Bytes of which a few are left out, and a few others come in their place."""
    start, length = draw.draw(st.integers(0, len(content)), "start"), draw.draw(st.integers(0, 20), "length")
    new = draw.draw(st.binary(max_size=8) | st.sampled_from([b"\r\n", b",", b'"', b"\n", b",,,,\n"]), "new")
    return content[:start] + new + content[start + length :]


def list_nodes(node: object) -> list[tuple[object, object]]:
    """Each place in a JSON document: the list or object that holds it, and its index or name there."""
    inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [place for name, part in inner for place in [(node, name), *list_nodes(part)]]


@search(16)
@given(st.data())
@counted
def test_in_descriptions_what_is_damaged_is_refused_or_describes_the_same_tables(small, draw):
    described = json.loads(small.files["datapackage.json"])
    holder, name = draw.draw(st.sampled_from(list_nodes(described["resources"])), "place")
    holder[name] = draw.draw(st.none() | st.integers() | st.text(max_size=5) | st.just([]) | st.just({}), "value")
    small.write("datapackage.json", json.dumps(described).encode())
    if problems := small.check():
        assert all(problem.file and problem.message for problem in problems)
        return "refused"
    assert {table: list(rows) for table, rows in data.load().items()} == {t: list(fields) for t, fields in FIELDS.items()}
    return "taken and right"


SOUND = change(month=NEXT)
ENGLAND = [number for number, row in enumerate(read_rows(AUGUST_2025)) if row[2] == "England"]
NHS_IDS = {row["nhs_id"]: row["measure"] for row in read((ROOT / "data" / "measures.csv").read_bytes())}


def list_printed(content: bytes) -> dict[str, str]:
    """The figures for England that a publication prints, by measure."""
    rows = csv.reader(io.StringIO(content.decode("utf-8-sig", errors="replace"), newline=""))
    return {NHS_IDS[row[7]]: row[9].strip() for row in rows if row[2:3] == ["England"] and row[7] in NHS_IDS}


def compare(taken: dict[str, str], printed: dict[str, str]) -> None:
    assert taken and all(float(printed[measure]) == float(value) for measure, value in taken.items())


@search(5)
@given(st.data())
@counted
def test_in_publications_another_cell_is_refused_doubted_or_taken_as_it_stands(small, tmp_path_factory, draw):
    rows = list(csv.reader(io.StringIO(SOUND.decode())))
    row, column = draw.draw(st.sampled_from(ENGLAND), "row"), draw.draw(st.integers(0, len(rows[0]) - 1), "column")
    text = draw.draw(VALUES | st.sampled_from(sorted({row[column] for row in rows})[:50]), "value")
    if draw.draw(st.booleans(), "a figure"):
        column = rows[0].index("MEASURE_VALUE_SUPPRESSED")
    rows[row][column] = text
    path = tmp_path_factory.getbasetemp() / "withstands.csv"
    path.write_bytes(write_csv(rows))
    small.write("england.csv", small.files["england.csv"])
    before, ended = digest(small.folder), cli.main(["add", str(path)])
    if ended == 3:
        raise RuntimeError("an error that nobody foresaw")
    if ended:
        if digest(small.folder) != before:
            raise Lost
        return "refused"
    held = read((small.folder / "england.csv").read_bytes())
    compare({row["measure"]: row["value"] for row in held if row["period"] == NEXT}, list_printed(write_csv(rows)))
    return "taken and right"


FORMS = {".csv": bytes, ".csv.gz": gzip.compress, ".zip": lambda content: zip_files({"month.csv": content, "notes.txt": b"n"})}


@search(16)
@given(st.data())
@counted
def test_in_files_what_is_damaged_is_refused_by_name_or_gives_what_is_printed(small, tmp_path_factory, draw):
    form = draw.draw(st.sampled_from(sorted(FORMS)), "form")
    path = tmp_path_factory.getbasetemp() / f"month{form}"
    path.write_bytes(broken := damage(draw, FORMS[form](SOUND)))
    small.write("england.csv", small.files["england.csv"])
    try:
        publication = read_publication(path)
    except Refusal as refused:
        assert "month" in str(refused) and "expected" in str(refused)
        return "refused"
    taken = {key[-1]: str(value) for key, value in publication.figures.items()}
    compare(taken, list_printed(broken if form == ".csv" else SOUND))
    return "taken and right"


@search(30)
@given(st.data())
@counted
def test_in_parameters_what_cannot_be_is_refused_by_name_before_a_start(small, draw):
    small.write("england.csv", small.files["england.csv"])
    run = draw.draw(st.sampled_from(list(runs.load().values())), "run")
    defined = parameters.read(runs.read_notebook(run.notebook))
    name = draw.draw(st.sampled_from(sorted(defined)) | st.text("aeo_fs", min_size=1, max_size=5), "name")
    places = st.sampled_from([*data.places()["name"], *data.places().index])
    days = st.sampled_from(["latest", "2020-05-01", "2023-09-30", "2026-06-01"])
    years = st.sampled_from(["2013-14", "2017/18", "2021-22", "2028/29", "2033-34"])
    likely = {"as_of": days, "area": places, "start": years, "target_year": years, "target": st.sampled_from(["1", "900000"])}
    text = draw.draw(likely.get(name, VALUES) if draw.draw(st.booleans(), "a likely value") else VALUES, "value")
    try:
        (chosen,) = runs.select({run.name: run}, [run.name], [f"{name}={text}"])[:1]
        values = chosen.values()
    except ValueError as refused:
        assert name in str(refused) and isinstance(refused, parameters.ParameterError | runs.RunError)
        return "refused"
    assert str(values[name]) in (text, text.replace("/", "-")) or values[name] == float(text)
    return "taken and right"
