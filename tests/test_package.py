"""The repository as a whole: the data package, the environment, the citation, and what must not be in a file."""

import ast
import csv
import json
import re
import subprocess
import sys
import tomllib
from urllib.parse import urlparse

import pytest
import yaml
from frictionless import Package
from packaging.specifiers import SpecifierSet
from packaging.version import Version
from publishing import read_table, shrink_data

import iapt
from iapt.paths import PACKAGE, ROOT

DATA = ROOT / "data"
DESCRIPTION = json.loads((DATA / "datapackage.json").read_text(encoding="utf-8"))
RESOURCES = {resource["name"]: resource for resource in DESCRIPTION["resources"]}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")

def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


# ---------------------------------------------------------------- the data package


def test_the_data_package_is_valid():
    report = Package(str(DATA / "datapackage.json")).validate()
    assert report.valid, report.flatten(["name", "rowNumber", "fieldName", "message"])


def test_frictionless_sees_a_row_that_breaks_the_description(tmp_path, monkeypatch):
    folder = shrink_data(tmp_path, monkeypatch)
    with (folder / "england.csv").open("a", encoding="utf-8") as handle:
        handle.write("month,2031-01,nothing,-1,,nhs-monthly-activity,\n")
    found = {kind for (kind,) in Package(str(folder / "datapackage.json")).validate().flatten(["type"])}
    assert {"foreign-key", "constraint-error"} <= found


def test_every_table_is_described_and_every_description_has_its_table():
    assert sorted(path.name for path in DATA.glob("*.csv")) == sorted(
        resource["path"] for resource in RESOURCES.values()
    )


@pytest.mark.parametrize("name", RESOURCES)
def test_every_column_is_described_and_every_description_has_its_column(name):
    with (DATA / RESOURCES[name]["path"]).open(encoding="utf-8", newline="") as handle:
        header = next(csv.reader(handle))
    fields = RESOURCES[name]["schema"]["fields"]
    assert header == [field["name"] for field in fields]
    assert all(re.fullmatch("[a-z][a-z0-9_]*", column) for column in header)
    assert all(field.get("description", "").strip() and field.get("type") for field in fields)
    assert set(RESOURCES[name]["schema"]["primaryKey"]) <= set(header)


@pytest.mark.parametrize("name", RESOURCES)
def test_no_column_is_empty_and_every_table_ends_its_lines_alike(name):
    rows = read_table(name)
    text = (DATA / RESOURCES[name]["path"]).read_bytes()
    assert rows and b"\r" not in text and text.endswith(b"\n") and not text.startswith(b"\xef\xbb\xbf")
    empty = [column for column in rows[0] if not any(row[column] for row in rows)]
    required = [f["name"] for f in RESOURCES[name]["schema"]["fields"] if f.get("constraints", {}).get("required")]
    assert not set(empty) & set(required)


@pytest.mark.parametrize("name", sorted({*RESOURCES} - {"measures"}))
def test_columns_that_name_a_source_or_measure_are_tied_to_their_table(name):
    schema = RESOURCES[name]["schema"]
    tied = {key["fields"]: tuple(key["reference"].values()) for key in schema.get("foreignKeys", [])}
    expected = {"source": ("sources", "id"), "measure": ("measures", "measure")}
    columns = {field["name"] for field in schema["fields"]} & expected.keys()
    assert {column: tied[column] for column in columns} == {column: expected[column] for column in columns}


def test_every_source_card_is_used():
    used = {row["source"] for name in RESOURCES if name != "sources" for row in read_table(name) if "source" in row}
    assert used == {row["id"] for row in read_table("sources")}


@pytest.mark.parametrize("column", ["title", "publisher", "url", "licence", "standing"])
def test_every_source_card_is_complete(column):
    assert [row["id"] for row in read_table("sources") if not row[column].strip()] == []


def test_every_source_card_has_an_address_on_the_web_and_a_day_or_a_lag():
    for row in read_table("sources"):
        assert urlparse(row["url"]).scheme in ("http", "https") and "." in urlparse(row["url"]).netloc, row["id"]
        assert row["published"] or row["lag_days"], row["id"]


def test_figures_of_official_sources_are_under_an_open_licence():
    quoted = {"natcen-apms-2023-4", "natcen-press-2025-06-27"}  # official statistics that NatCen published, all rights reserved
    assert {row["licence"] for row in read_table("sources") if row["standing"] == "official" and row["id"] not in quoted} == {
        "Open Government Licence v3.0"
    }


def test_every_measure_in_a_table_is_in_the_codebook_and_every_one_there_has_figures():
    codebook = {row["measure"]: row for row in read_table("measures")}
    held = {row["measure"] for name in ("england", "areas", "groups") for row in read_table(name)}
    derived = {name for name, row in codebook.items() if {row["numerator"], row["denominator"]} <= held}
    assert held <= set(codebook) <= held | derived
    assert all(row["label"] and row["definition"].endswith(".") and row["unit"] for row in read_table("measures"))


def test_every_rate_has_its_denominator_and_is_in_per_cent():
    measures = {row["measure"]: row for row in read_table("measures")}
    for name, row in measures.items():
        assert (row["unit"] == "per cent") == (row["kind"] == "rate") == name.endswith("_rate")
        if row["kind"] == "rate":
            assert measures[row["denominator"]]["kind"] in ("flow", "difference"), name
            assert not row["numerator"] or measures[row["numerator"]]["kind"] == "flow", name
        elif row["kind"] != "difference":
            assert not row["numerator"] and not row["denominator"], name


def test_labels_of_measures_tell_them_apart():
    labels = [row["label"] for row in read_table("measures")]
    assert len(set(labels)) == len(labels)


def test_the_list_of_changes_for_readers_has_every_row_of_the_table():
    """A line that is missing is shown as it has to be added."""
    held = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").splitlines()
    for row in read_table("changes"):
        period, card = f"{row['period']}: " * bool(row["period"]), f" ({row['card']})" * bool(row["card"])
        assert f"- {row['added']}: {period}{int(row['figures']):,} figures {row['what']}: {row['detail']}{card}." in held


# ---------------------------------------------------------------- environment, lock, citation


def locked() -> dict[str, str]:
    return {plain(name): version for name, version in re.findall(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)", LOCK, re.MULTILINE)}


def direct() -> set[str]:
    return {
        plain(re.match(r"[A-Za-z0-9._-]+", item)[0])
        for item in [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["test"]]
    }


def test_conda_has_the_direct_dependencies_in_the_versions_of_the_lock():
    listed = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    from_pip = next(item["pip"] for item in listed if isinstance(item, dict))
    pinned = dict(
        re.split("=+", item) for item in [*filter(lambda item: isinstance(item, str), listed), *from_pip] if "=" in item
    )
    assert f"python{PROJECT['requires-python']}" in listed
    pinned = {name: version for name, version in pinned.items() if not name.startswith("python>")}
    assert {plain(name) for name in pinned} == direct()
    assert {plain(name): version for name, version in pinned.items()} == {name: locked()[name] for name in direct()}


def test_the_lock_holds_everything_that_the_project_asks_for():
    for item in [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["test"]]:
        name, least = item.split(">=")
        assert Version(locked()[plain(name)]) >= Version(least), item


def test_every_locked_package_has_hashes():
    entries = re.split(r"^(?=[A-Za-z0-9])", LOCK, flags=re.MULTILINE)
    entries = [entry for entry in entries if entry.strip() and not entry.startswith("#")]
    assert len(entries) > 100
    assert [entry.split()[0] for entry in entries if not re.search(r"--hash=sha256:[0-9a-f]{64}", entry)] == []
    assert [entry.split()[0] for entry in entries if "==" not in entry.split()[0]] == []


def test_the_lock_names_no_host_and_no_path():
    assert not [mark for mark in ("://", " @ ", "index-url", "find-links", "file:") if mark in LOCK]


def test_the_citation_file_is_valid_and_has_the_version_of_the_package():
    card = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert str(card["cff-version"]) == "1.2.0"
    assert {"cff-version", "message", "title", "authors"} <= set(card)
    assert card["authors"] and all(set(author) & {"name", "family-names", "given-names"} for author in card["authors"])
    assert str(card["version"]) == iapt.__version__ == PROJECT["version"]
    assert card["license"] == PROJECT["license"] == "MIT"
    assert card.get("type", "software") in ("software", "dataset")


def test_services_in_the_browser_use_the_same_lock_and_a_python_of_the_project():
    """Binder reads binder/, Codespaces and other editors .devcontainer/."""
    allowed = SpecifierSet(PROJECT["requires-python"])
    assert (ROOT / "binder" / "requirements.txt").read_text() == "-r ../requirements.lock\n"
    assert "pip install --no-deps --no-build-isolation -e ." in (ROOT / "binder" / "postBuild").read_text()
    assert (ROOT / "binder" / "runtime.txt").read_text().strip().removeprefix("python-") in allowed
    described = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text())
    image = (ROOT / ".devcontainer" / described["build"]["dockerfile"]).read_text()
    assert re.match(r"FROM python:(\S+)\n", image)[1] in allowed and described["postCreateCommand"] == "make setup"


@pytest.mark.parametrize("version", ["3.10", "3.11", "3.14", "3.15"])
def test_make_takes_the_pythons_of_the_project_and_no_other(version):
    rule = re.search(r"^SUITS := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[1]
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as ended:
        patch.setattr(sys, "version_info", tuple(map(int, version.split("."))))
        exec(rule)
    assert bool(ended.value.code) == (version not in SpecifierSet(PROJECT["requires-python"]))


def test_the_installer_is_in_the_lock_as_make_looks_for_it():
    (entry,) = re.findall(r"^uv==(?:.*\\\n)+.*$", LOCK, re.MULTILINE)
    assert "--hash=sha256:" in entry and r"sed -n '/^uv==/,/[^\\]$$/p'" in (ROOT / "Makefile").read_text()


# ---------------------------------------------------------------- what must not be in a committed file

FORBIDDEN = {
    "the path of a machine": r"(?<![\w.:/])/(?:home|Users|root|work|private|mnt|opt|var|srv)/[\w.]",
    "a path of Windows": r"\b[A-Z]:\\\\?Users",
    "a folder outside the repository": r"\.\./shared",
    "a key": r"-----BEGIN [A-Z ]*PRIVATE KEY-----|\bgh[pousr]_[A-Za-z0-9]{30,}|\bAKIA[0-9A-Z]{16}\b",
    "a conflict of versions": r"^(?:<{7} |>{7} |={7}$)",
}


def list_files() -> list[str]:
    try:
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        out = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout
        return [name for name in out.decode().split("\0") if name and (ROOT / name).is_file()]
    except (OSError, subprocess.CalledProcessError):
        skipped = {".git", ".venv", "__pycache__", ".pytest_cache", ".hypothesis", ".ipynb_checkpoints", "reports", "results"}
        return [
            str(path.relative_to(ROOT))
            for path in ROOT.rglob("*")
            if path.is_file() and not skipped & set(path.relative_to(ROOT).parts)
        ]


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_file_holds(what):
    pattern = re.compile(FORBIDDEN[what], re.MULTILINE)
    found = []
    for name in list_files():
        try:
            text = (ROOT / name).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found += [f"{name}: {match[0]}" for match in pattern.finditer(text)]
    assert found == []


@pytest.mark.parametrize(
    "what, parts",
    [
        ("the path of a machine", ["x = '", "home", "anna", "data'"]),
        ("the path of a machine", ["in ", "work", "x"]),
        ("a folder outside the repository", ["cp ..", "shared", "a"]),
    ],
)
def test_the_search_finds_what_it_looks_for(what, parts):
    assert re.search(FORBIDDEN[what], "/".join(parts), re.MULTILINE)
    assert not re.search(FORBIDDEN[what], "https://example.org/work/home/page and data/raw", re.MULTILINE)


def test_no_committed_file_is_large():
    assert [name for name in list_files() if (ROOT / name).stat().st_size > 1_500_000] == []


def test_the_installed_command_and_the_version_are_those_of_the_project():
    assert PROJECT["scripts"] == {"iapt": "iapt.cli:main"}
    assert PROJECT["version"] == iapt.__version__


# ---------------------------------------------------------------- the order of the package

LAYERS = [
    {"paths"}, {"locks"}, {"models", "data"}, {"parameters", "words"}, {"charts", "runs"}, {"site"}, {"running"}, {"cli"},
    {"__main__"},
]  # fmt: skip
"""The parts of the package from the ground up: each may use those below it, and `data` uses no model."""


def list_uses() -> dict[str, set[str]]:
    """Which parts of the package each file of it imports, by path inside the package."""
    uses = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
        named = [node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module]
        named += [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
        named += [
            f"iapt.{alias.name}"
            for node in nodes
            if isinstance(node, ast.ImportFrom) and node.module == "iapt"
            for alias in node.names
        ]
        uses[path.relative_to(PACKAGE).as_posix()] = {
            name.split(".")[1] for name in named if name.startswith("iapt.") and name != "iapt.__version__"
        }
    return uses


def test_every_part_of_the_package_uses_only_those_below_it():
    floor = {part: number for number, parts in enumerate(LAYERS) for part in parts}
    upwards = []
    for file, used in list_uses().items():
        own = file.partition("/")[0].removesuffix(".py")
        upwards += [f"{file} uses {part}" for part in used - {own} if own != "__init__" and floor[part] >= floor[own]]
    assert upwards == []
