"""Parameters of notebooks: what is read from the cell, what is refused, and how."""

import pytest
from conftest import read_notebooks

from iapt import cli, parameters, runs
from iapt.parameters import Parameter, ParameterError

AS_OF = Parameter("as_of", str, "latest", "figures as known on this day")
TARGET = Parameter("target", int, 1_880_000, "people a year")
SHARE = Parameter("share", float, 0.5, "a share")
SHOWN = Parameter("shown", bool, True, "whether to show it")
DEFINED = {parameter.name: parameter for parameter in (AS_OF, TARGET, SHARE, SHOWN)}


def notebook(*sources: str, tag: str = "parameters") -> dict:
    return {
        "cells": [
            {"cell_type": "code", "metadata": {"tags": [tag]}, "source": source.splitlines(keepends=True)}
            for source in sources
        ]
    }


# ---------------------------------------------------------------- reading


def test_a_cell_of_annotated_scalars_is_read_with_its_comments():
    cell = 'as_of: str = "latest"  # a day, or latest\ntarget: int = 1_880_000\nshare: float = -0.5  # 5 # 6\nshown: bool = False'
    assert parameters.read(notebook(cell)) == {
        "as_of": Parameter("as_of", str, "latest", "a day, or latest"),
        "target": Parameter("target", int, 1_880_000, ""),
        "share": Parameter("share", float, -0.5, "5 # 6"),
        "shown": Parameter("shown", bool, False, ""),
    }


@pytest.mark.parametrize(
    "source",
    [
        "as_of = 'latest'",
        "as_of: date = 1",
        "as_of: str | None = None",
        "as_of: 'str' = 'a'",
        "import os",
        "print(1)",
        "x: list = [1]",
    ],
)
def test_anything_but_annotated_scalars_in_the_cell_is_refused(source):
    with pytest.raises(ParameterError, match="expected lines such as: year: int = 2024"):
        parameters.read(notebook(source))


@pytest.mark.parametrize("sources, number", [((), 0), (("a: int = 1", "b: int = 2"), 2)])
def test_a_notebook_has_exactly_one_parameters_cell(sources, number):
    with pytest.raises(ParameterError, match=f"{number} cells tagged parameters; expected one"):
        parameters.read(notebook(*sources))


def test_a_cell_with_another_tag_is_not_the_parameters_cell():
    with pytest.raises(ParameterError, match="0 cells"):
        parameters.read(notebook("a: int = 1", tag="setup"))


# ---------------------------------------------------------------- refusing

BAD = {
    "an unknown name": ({"as_off": "latest"}, "unknown parameter 'as_off'; did you mean as_of? Known: as_of, target, share, shown"),
    "a name like no other": ({"zzz": 1}, "unknown parameter 'zzz'; Known: as_of"),
    "a number where text belongs": ({"as_of": 2020}, "as_of is 2020 (int); expected text"),
    "no value where text belongs": ({"as_of": None}, "as_of is None (NoneType); expected text"),
    "text where a number belongs": ({"target": "1880000"}, "target is '1880000' (str); expected a whole number"),
    "a fraction where a whole number belongs": ({"target": 1.5}, "target is 1.5 (float); expected a whole number"),
    "a bool where a whole number belongs": ({"target": True}, "target is True (bool); expected a whole number"),
    "a bool where a number belongs": ({"share": False}, "share is False (bool); expected a number"),
    "a number where a bool belongs": ({"shown": 1}, "shown is 1 (int); expected True or False"),
    "text where a bool belongs": ({"shown": "true"}, "shown is 'true' (str); expected True or False"),
    "a list": ({"target": [1]}, "target is [1] (list); expected a whole number"),
    "a day that does not exist": ({"as_of": "2020-02-30"}, "as_of is '2020-02-30'; expected a date such as 2020-05-01, or latest"),
    "a day written otherwise": ({"as_of": "1 May 2020"}, "expected a date such as 2020-05-01, or latest"),
    "a day without zeros": ({"as_of": "2020-5-1"}, "expected a date such as 2020-05-01, or latest"),
    "a day with a time": ({"as_of": "2020-05-01T00:00"}, "expected a date such as 2020-05-01, or latest"),
    "an empty day": ({"as_of": ""}, "expected a date such as 2020-05-01, or latest"),
    "a day in the future": ({"as_of": "2999-01-01"}, "as_of is 2999-01-01; allowed: 2015-01-31 to "),
    "a day before the first vintage": ({"as_of": "2015-01-30"}, "as_of is 2015-01-30; allowed: 2015-01-31 to "),
    "a target of nothing": ({"target": 0}, "target is 0; expected a number of referrals a year above 0"),
    "a target below nothing": ({"target": -1}, "target is -1; expected"),
}  # fmt: skip


@pytest.mark.parametrize("fault", BAD)
def test_a_bad_parameter_is_refused_with_its_value_and_what_is_allowed(fault):
    given, message = BAD[fault]
    with pytest.raises(ParameterError) as caught:
        parameters.validate(DEFINED, given)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "given",
    [{}, {"as_of": "2020-05-01"}, {"as_of": "2015-01-31"}, {"share": 1}, {"share": 0.25, "shown": False, "target": 5}],
)
def test_what_is_given_is_kept_and_defaults_fill_the_rest(given):
    expected = {"as_of": "latest", "target": 1_880_000, "share": 0.5, "shown": True} | given
    assert parameters.validate(DEFINED, given) == expected


@pytest.mark.parametrize(
    "values, message",
    [
        ({"measure": "recovery_rate"}, "measure is 'recovery_rate'; allowed: started_treatment, finished_course"),
        ({"target_year": "2023"}, "target_year: '2023' is not a year; write it as 2018-19"),
        ({"target_year": "2018-19"}, "target_year is 2018-19; allowed: 2019-20 to "),
        ({"target_year": "2050-51"}, "target_year is 2050-51; allowed: 2019-20 to "),
        ({"start": "spring"}, "start: 'spring' is not a year"),
        ({"start": "2012-13"}, "start is 2012-13; allowed: 2013-14 to 2016-17, with at least 12 quarters"),
        ({"start": "2019-20"}, "start is 2019-20; allowed: 2013-14 to 2016-17, with at least 12 quarters"),
    ],
)
def test_the_question_of_a_forecast_is_checked_against_what_was_known(values, message):
    defined = parameters.read(read_notebooks()["05_target"])
    with pytest.raises(ParameterError) as caught:
        parameters.validate(defined, {"as_of": "2020-05-01"} | values)
    assert message in str(caught.value)


# ---------------------------------------------------------------- in a notebook


def names(**values: object) -> dict:
    return {
        "__annotations__": {"as_of": "str", "target": "int"},
        "as_of": "latest",
        "target": 1,
        "In": [""],
        "Out": {},
        "_": 5,
        "parameters": parameters,
    } | values


def test_a_notebook_with_good_parameters_goes_on():
    assert parameters.check(names(as_of="2020-05-01")) is None


@pytest.mark.parametrize(
    "injected, message",
    [
        ({"as_off": "2020-05-01"}, "unknown parameter 'as_off'; did you mean as_of?"),
        ({"colour": 3}, "unknown parameter 'colour'"),
        ({"areas": ["a"]}, "unknown parameter 'areas'"),
        ({"as_of": 50.0}, r"as_of is 50.0 \(float\); expected text"),
        ({"target": True}, r"target is True \(bool\)"),
        ({"as_of": "2020-02-30"}, "expected a date such as"),
    ],
)
def test_a_notebook_refuses_what_was_injected_into_it(injected, message):
    with pytest.raises(ParameterError, match=message.replace("?", r"\?")):
        parameters.check(names(**injected))


def test_a_notebook_whose_annotations_are_lost_says_how_to_keep_them():
    """As on Python 3.14, where IPython keeps them only as text."""
    with pytest.raises(ParameterError, match="begin the notebook with: from __future__ import annotations"):
        parameters.check({"as_of": "latest"})


def test_a_bool_that_was_injected_under_an_unknown_name_is_seen():
    with pytest.raises(ParameterError, match="unknown parameter 'verbose'"):
        parameters.check(names(verbose=True))


# ---------------------------------------------------------------- on the command line


@pytest.mark.parametrize("text", ["5E1", "007", "1_000", "true", "None", "1e3", "2020-05-01", "", " x "])
def test_text_stays_text_as_it_was_written(text):
    assert parameters.parse(text, AS_OF) == text


@pytest.mark.parametrize(
    "text, parameter, value",
    [
        ("5", TARGET, 5),
        ("-5", TARGET, -5),
        ("0.5", SHARE, 0.5),
        ("5", SHARE, 5.0),
        ("true", SHOWN, True),
        ("false", SHOWN, False),
    ],
)
def test_numbers_and_switches_are_read_as_their_type(text, parameter, value):
    read = parameters.parse(text, parameter)
    assert read == value and type(read) is parameter.type


@pytest.mark.parametrize(
    "text, parameter, message",
    [
        ("many", TARGET, "expected a whole number"),
        ("5.0", TARGET, "expected a whole number"),
        ("half", SHARE, "expected a number"),
        ("True", SHOWN, "allowed: true, false"),
        ("1", SHOWN, "allowed: true, false"),
    ],
)
def test_what_is_no_value_of_its_type_is_refused(text, parameter, message):
    with pytest.raises(ParameterError, match=f"{parameter.name} is '{text}'; {message}"):
        parameters.parse(text, parameter)


def test_codes_reach_a_run_as_text():
    (run,) = runs.select(runs.load(), ["access"], ["as_of=007"])
    assert run.parameters == {"as_of": "007"} and run.name == "access-as_of-007"
    with pytest.raises(ParameterError, match="access-as_of-007: as_of is '007'"):
        run.values()


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["report", "acess"], "unknown run 'acess'; did you mean access?"),
        (["report", "access", "--set", "as_off=2020-05-01"], "unknown parameter 'as_off'; did you mean as_of?"),
        (["report", "access", "--set", "as_of=2020-02-30"], "as_of is '2020-02-30'; expected a date such as"),
        (["report", "access", "--set", "as_of"], "--set takes name=value; found 'as_of'"),
        (["report", "target-2020", "--set", "target=many"], "target is 'many'; expected a whole number"),
    ],
)
def test_the_command_refuses_with_one_line_before_anything_runs(capsys, tmp_path, arguments, message):
    assert cli.main([*arguments, "--out", str(tmp_path / "out")]) == 2
    heard = capsys.readouterr().err
    assert heard.startswith("iapt: ") and message in heard and "Traceback" not in heard
    assert not list((tmp_path / "out").rglob("*.html")) if (tmp_path / "out").exists() else True


def test_every_run_in_the_list_has_parameters_that_its_notebook_takes():
    for run in runs.load().values():
        values = runs.spread(run)[0].values()
        assert "as_of" in values, run.name


def test_forecasts_that_look_at_an_earlier_day_are_checked_against_that_day():
    days = parameters.read_days(read_notebooks()["06_hindsight"])
    assert days == {"first": "2024-06-14", "looks_at": "2020-05-01"}
    defined = parameters.read(read_notebooks()["06_hindsight"])
    with pytest.raises(ParameterError, match="start is 2018-19; .* the last known on 2020-05-01"):
        parameters.validate(defined, {"start": "2018-19"}, **days)
    assert parameters.validate(defined, {"start": "2015-16"}, **days)["start"] == "2015-16"


def test_quarters_after_a_gap_are_all_that_a_forecast_has():
    """On this day two quarters of finished courses follow the gap of 2020."""
    defined = parameters.read(read_notebooks()["05_target"])
    with pytest.raises(ParameterError, match="as_of is 2021-09-30; no year has at least 12 quarters without a gap .*another day"):
        parameters.validate(defined, {"as_of": "2021-09-30", "measure": "finished_course", "start": "2017-18"})


def test_the_first_day_of_a_notebook_comes_before_what_else_is_wrong_then():
    """Else the first day that is told is refused as well."""
    notebook = read_notebooks()["08_area"]
    with pytest.raises(ParameterError, match="as_of is 2021-09-30; this notebook runs from 2023-01-15 on"):
        values = {"as_of": "2021-09-30", "area": "QJK"}
        parameters.validate(parameters.read(notebook), values, **parameters.read_days(notebook))
