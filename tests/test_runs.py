"""The list of runs: what it may say, which runs it gives, and what each depends on."""

import re

import pytest
import tiny

from iapt import parameters, runs


def load(tmp_path, text: str) -> dict[str, runs.Run]:
    path = tmp_path / "runs.toml"
    path.write_text(text)
    return runs.load(path)


def test_list_of_the_project():
    """Every run has a notebook, parameters that it takes, and tables that are there."""
    for run in (part for run in runs.load().values() for part in runs.spread(run)):
        assert run.values() | run.parameters == run.values()
        assert "missing" not in [runs.digest_file(runs.data_folder() / f"{name}.csv") for name in run.data], run.name


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[a", "runs.toml cannot be read"),
        ("a = 1", r"\[a\] needs notebook and title"),
        ('[a]\nnotebook = "x"', r"\[a\] needs notebook and title"),
        ('[a]\nnotebook = "x"\ntitle = "A"\nparameter = 1', r"may have parameters, data, each and group; found .*parameter"),
        ('[a]\nnotebook = "x"\ntitle = 5', r"\[a\] has title = 5; expected str"),
        ('[a]\nnotebook = "x"\ntitle = "A"\ndata = "areas"', r"\[a\] has data = 'areas'; expected list"),
        ('[a]\nnotebook = "x"\ntitle = "A"\nparameters = 5', r"\[a\] has parameters = 5; expected dict"),
        ('[a]\nnotebook = "../x"\ntitle = "A"', r"'../x' cannot be a name"),
        ('["../a"]\nnotebook = "x"\ntitle = "A"', r"'../a' cannot be a name"),
        ('[a]\nnotebook = "x"\ntitle = "A"\ndata = ["/etc/passwd"]', r"'/etc/passwd' cannot be a name"),
    ],
)
def test_list_that_is_wrong(tmp_path, text, message):
    with pytest.raises(runs.RunError, match=message):
        load(tmp_path, text)


def test_a_date_in_the_list_is_the_text_that_a_notebook_takes(tmp_path):
    (run,) = load(tmp_path, '[a]\nnotebook = "01_access"\ntitle = "A"\nparameters = { as_of = 2020-05-01 }').values()
    assert run.values() == {"as_of": "2020-05-01"} and run.fingerprint()


def test_a_code_of_an_area_never_becomes_a_path(tables):
    tables.change("places", {"area": "../../x"}, area="E92000001")
    with pytest.raises(runs.RunError, match="places.csv: '../../x' cannot be a name"):
        runs.list_values("area")


def test_notebook_that_is_missing_or_broken(tmp_path):
    tiny.write_notebook(tmp_path / "there.ipynb")
    with pytest.raises(runs.RunError, match="there is no notebook their.ipynb; known: there"):
        runs.Run("a", tmp_path / "their.ipynb", "A").fingerprint()
    (tmp_path / "there.ipynb").write_text("{")
    with pytest.raises(runs.RunError, match="there.ipynb is not a notebook"):
        runs.Run("a", tmp_path / "there.ipynb", "A").values()


# ---------------------------------------------------------------- choosing

AREA = 'as_of: str = "latest"  # day\narea: str = "England"  # code or name'


@pytest.fixture
def known(tmp_path) -> dict[str, runs.Run]:
    path = tiny.write_notebook(tmp_path / "area.ipynb", "1")
    path.write_text(
        path.read_text().replace("number: int = 1  # a number", 'area: str = \\"England\\"  # code or name')
    )
    return {
        "access": tiny.make_run(tmp_path, "access"),
        "areas": runs.Run("areas", path, "Areas", each="area"),
        "one": runs.Run("one", path, "One"),
    }


def test_all_areas(known):
    spread = runs.spread(known["areas"])
    assert len(spread) == 50 and spread[0].parameters == {"area": "E92000001"} and spread[0].title == "England"
    assert len({run.name for run in spread}) == 50 and all(re.fullmatch(r"areas/\w+", run.name) for run in spread)
    assert runs.spread(known["access"]) == [known["access"]]


def test_choosing(known):
    assert [run.name for run in runs.select(known, ["access"], [])] == ["access"]
    assert len(runs.select(known, [], [])) == 52
    (qe1,) = runs.select(known, ["areas/qe1"], [])
    assert qe1.parameters == {"area": "QE1"} and qe1.asked == ("areas/qe1",)
    for name in ("Lancashire and South Cumbria", "NHS Lancashire and South Cumbria ICB"):
        assert runs.select(known, [f"areas/{name}"], []) == [qe1]
    with pytest.raises(runs.RunError, match="areas/qe1 is made for area=QE1; name the run without it"):
        runs.select(known, ["areas/qe1"], ["area=QJK"])


def test_setting_what_a_run_is_spread_by_makes_one_run(known):
    (devon,) = runs.select(known, ["areas"], ["area=Devon"])
    assert devon.name == "areas-area-Devon" and devon.parameters == {"area": "Devon"}
    assert devon.asked == ("areas", "--set", "area=Devon") and runs.select(known, ["areas"], list(devon.asked[2:])) == [
        devon
    ]
    assert len(runs.select(known, ["areas"], ["as_of=2022-06-01"])) == 50


def test_each(known):
    """Without names, the runs of which the list says so; with names, these."""
    assert runs.select(known, [], [], "area") == runs.select(known, ["areas"], [])
    spread = runs.select(known, ["one"], [], "area")
    assert len(spread) == 50 and spread[1].name == "one-by-area/y61"
    assert spread[1].asked == ("one", "--set", "area=Y61") and spread[1].values()["area"] == "Y61"
    for names in (["areas"], ["areas/qe1"]):
        with pytest.raises(runs.RunError, match="cannot be made for each as_of"):
            runs.select(known, names, [], "as_of")
    with pytest.raises(runs.RunError, match="no run is made for each colour; name one"):
        runs.select(known, [], [], "colour")
    with pytest.raises(runs.RunError, match="no table lists the values of 'colour'; allowed: area"):
        runs.select(known, ["one"], [], "colour")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("acces", "unknown run 'acces'; did you mean access"),
        ("areas/qe", "unknown run 'areas/qe'; area is 'qe'.*; all are listed by: iapt runs"),
        ("access/qe1", "unknown run 'access/qe1'"),
    ],
)
def test_unknown_names(known, name, message):
    with pytest.raises(runs.RunError, match=message):
        runs.select(known, [name], [])


def test_settings(known):
    (run,) = runs.select(known, ["access"], ["as_of=2020-05-01", "number=007"])
    assert run.name == "access-as_of-2020-05-01-number-7" and run.parameters == {"as_of": "2020-05-01", "number": 7}
    assert run.asked == ("access", "--set", "as_of=2020-05-01", "--set", "number=007")
    (run,) = runs.select(known, ["one"], ["area=../../NHS Devon"])
    assert run.name == "one-area-..-..-NHS-Devon" and run.parameters["area"] == "../../NHS Devon"
    with pytest.raises(runs.RunError, match="--set takes name=value; found 'number'"):
        runs.select(known, ["access"], ["number"])
    with pytest.raises(parameters.ParameterError, match="did you mean number"):
        runs.select(known, ["access"], ["nunber=1"])


def test_a_year_is_taken_as_the_pages_write_it():
    run, same = (runs.select(runs.load(), ["today"], [f"target_year={year}"])[0] for year in ("2028/29", "2028-29"))
    assert run == runs.replace(same, asked=run.asked) and run.values()["target_year"] == "2028-29"


# ---------------------------------------------------------------- fingerprints


def change(run: runs.Run, old: runs.Run) -> set[str]:
    """The parts in which the fingerprints of two runs differ."""
    before, after = (
        {**old.fingerprint(), "prose": old.prose_fingerprint()},
        {**run.fingerprint(), "prose": run.prose_fingerprint()},
    )
    return {part for part in before if before[part] != after[part]}


def test_each_part_of_a_fingerprint(tmp_path, tables, monkeypatch):
    """Every part changes with its own thing, and with nothing else."""
    run = tiny.make_run(tmp_path, "a", "1", "## Then", "2")
    differs = lambda *cells, **options: change(
        runs.replace(run, notebook=tiny.write_notebook(tmp_path / "b.ipynb", *cells, **options)), run
    )
    assert differs("1", "## Then", "2") == set()
    assert differs("1", "## Then", "3") == {"code"}
    assert differs("2", "## Then", "1") == {"code"}
    assert differs("1", "## Now", "2") == {"prose"}
    assert differs("1", "2", "## Then") == {"prose"}
    assert differs("1", "## Then", "2", heading="# Why?") == {"prose"}
    assert change(runs.replace(run, parameters={"number": 1}), run) == {"parameters"}
    assert change(runs.replace(run, title="New"), run) == {"prose"}
    assert change(runs.replace(run, data=("areas",)), run) == {"data"}
    wider = runs.replace(run, data=("areas",))
    before, plain = wider.fingerprint(), run.fingerprint()
    (tables.folder / "areas.csv").write_text((tables.folder / "areas.csv").read_text() + "\n")
    assert wider.fingerprint()["data"] != before["data"] and run.fingerprint() == plain
    (tables.folder / "england.csv").write_text((tables.folder / "england.csv").read_text() + "\n")
    assert run.fingerprint()["data"] != plain["data"] and run.fingerprint()["code"] == plain["code"]


def test_fingerprint_follows_the_package_and_the_lock_file(tmp_path, monkeypatch):
    run = tiny.make_run(tmp_path, "a", "1")
    before = run.fingerprint()
    for part, file in (("package", "src/iapt/data/vintages.py"), ("lock file", "requirements.lock")):
        digest = runs.digest_file
        monkeypatch.setattr(
            runs, "digest_file", lambda path, file=file: "changed" if path == runs.ROOT / file else digest(path)
        )
        after = run.fingerprint()
        assert {name for name in before if before[name] != after[name]} == {part}
        monkeypatch.undo()


def test_a_table_that_is_declared_has_to_be_there(tmp_path):
    run = runs.replace(tiny.make_run(tmp_path, "a", "1"), data=("nothing",))
    with pytest.raises(runs.RunError, match="a needs nothing.csv, which is not in "):
        run.fingerprint()


def test_digest_of_a_file_is_never_stale(tmp_path):
    path = tmp_path / "a"
    assert runs.digest_file(path) == "missing"
    digests = []
    for text in ("1", "2", "1"):
        path.write_text(text)
        digests.append(runs.digest_file(path))
    assert digests[0] == digests[2] != digests[1]
