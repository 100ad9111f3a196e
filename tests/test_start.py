"""What a reader does: change one line of a notebook, run it, and see data, caption and alternative text follow.

An edit whose line is in no cell fails. Then: the notebooks that are opened first say something whole at every vintage.
"""

import re

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot
from notebook import run

from iapt import charts, data, words
from iapt.data import fy

FIRST_CHART = '    years[["started_treatment"]],'
SECOND_CHART = '    years[years["referrals_received"].first_valid_index() :],'
"""The lines of 01_access that say what its charts draw."""
ONE_TOPIC = 'monthly = monthly[monthly["measure"].map(names["topic"]).isin(["access", "outcomes"])]\n'
QUICK = {ONE_TOPIC: ONE_TOPIC.replace('"access", "outcomes"', '"access"'), "repetitions=2000": "repetitions=200"}
"""Where the grid is not looked at, it is drawn for few measures."""


@pytest.fixture(scope="module")
def access():
    return run("01_access")


def test_the_first_chart_from_another_start_year(access):
    chart = run("01_access", {FIRST_CHART: FIRST_CHART.replace("years", 'years["2015-16":]')}).named("access_by_year")
    before = access.named("access_by_year")
    assert before.data["year"].iloc[0] < "2013" and "in 2008/09" in before.alt
    drawn = chart.data.dropna(subset="started_treatment")
    assert drawn["year"].iloc[0] == "2015/16"
    assert drawn["started_treatment"].tolist() == data.series("started_treatment", "year")["2015-16":].dropna().tolist()
    assert "in 2015/16" in chart.alt and "2008/09" not in chart.alt
    assert "UK Parliament" in before.caption and "UK Parliament" not in chart.caption


def test_the_first_chart_of_another_measure():
    edit = {FIRST_CHART: '    data.table(["self_referrals"], "year", as_of),'}
    chart = run("01_access", edit).named("access_by_year")
    assert list(chart.data.columns[:2]) == ["year", "self_referrals"]
    held = data.series("self_referrals", "year").dropna()
    assert chart.data["self_referrals"].dropna().tolist() == held.tolist()
    assert "Self-referrals:" in chart.alt and "Started treatment:" not in chart.alt
    assert "Hollow points are sums of published months" in chart.caption


def test_two_areas_on_one_chart():
    counts = 'data.areas(["finished_course"])["finished_course"].unstack("area")[["QJK", "QVV"]]'
    areas = f'{counts}, measures=["finished_course"], as_of=as_of,'
    chart = run("01_access", {SECOND_CHART: areas}).named("referrals_and_starts")
    assert list(chart.data) == ["year", "QJK", "QVV"]
    for code in ("QJK", "QVV"):
        held = data.table(["finished_course"], "year", area=code)["finished_course"].dropna()
        assert chart.data[code].dropna().tolist() == held.tolist()
        assert f"{code}: {held.iloc[0]:,.0f} in {words.when(held.index[0])}" in chart.alt
    assert "NHS England" in chart.caption and "OHID" not in chart.caption


@pytest.fixture(scope="module")
def start():
    return run("00_start_here", QUICK)


def test_an_ets_with_season_beside_the_pool_is_drawn_in_the_fan_and_scored(start):
    seasonal = run("00_start_here", QUICK | {'"seasonal": None': '"seasonal": "add"'})
    chart, plain = (made.named("start_fan") for made in (seasonal, start))
    drawn = chart.data["own_ets"].dropna()
    paths = seasonal["forecast"].member_paths["own_ets"]
    assert drawn.tolist() == np.median(paths, axis=0).round(-3).tolist() and len(drawn) == 4
    assert drawn.tolist() != plain.data["own_ets"].dropna().tolist()
    assert chart.data["median"].equals(plain.data["median"])
    assert f"Dotted line, own ETS: {words.count(drawn.iloc[0])}" in chart.alt and chart.alt != plain.alt
    assert "NHS England" in chart.caption
    scored, before = (made.named("start_scores").frame.set_index("Model") for made in (seasonal, start))
    assert scored.index[0] == "the pool" and scored.index[-1] == "own_ets"
    assert 0 < scored.at["own_ets", "MASE"] < 3 and scored.at["own_ets", "MASE"] != before.at["own_ets", "MASE"]
    assert scored["Windows"].nunique() == 1


def test_monthly_figures_of_all_measures_in_one_seaborn_grid():
    every = run("00_start_here", {ONE_TOPIC: "", '"col_wrap": 4': '"col_wrap": 8', "step=2": "step=20"})
    chart = every.named("start_grid")
    monthly = {m for m in data.load()["measures"]["measure"] if data.series(m, "month").notna().any()}
    assert len(monthly) > 80 and set(chart.data["measure"]) == monthly == set(every["grid"].axes_dict)
    assert chart.title == f"{len(monthly)} measures by month"
    assert all(data.label(measure) in chart.alt for measure in monthly)
    assert "NHS England" in chart.caption and "newest figures" in chart.caption
    waits = chart.data[chart.data["measure"] == "mean_wait_started"].set_index("period")["value"]
    assert waits["2015-01"] == data.series("mean_wait_started", "month")["2015-01"]


def test_export_holds_the_figures(start):
    sheets = pd.read_excel(start["book"], sheet_name=None)
    held = data.series("started_treatment", "year")
    assert sheets["Years"].set_index("year").at["2023/24", "started_treatment"] == held[fy("2023-24")]
    assert list(sheets) == ["Years", "Areas"]
    assert sheets["Areas"]["Devon"].tolist() == start["local"]["Devon"].tolist()


def test_a_framed_figure_has_its_title_caption_and_picture():
    figure, axes = pyplot.subplots(1, 2, figsize=(6, 2))
    frame = pd.DataFrame({"month": ["2015-01"], "value": [31.5]})
    chart = charts.framed(
        figure, frame, title="A wait", unit="Days", alt="Two empty axes.", measures=["mean_wait_started"], as_of="latest"
    )
    bundle, extra = chart._repr_mimebundle_()
    card = bundle[charts.MIME]
    assert (card["csv"], card["alt"]) == ("month,value\n2015-01,31.5\n", "Two empty axes.")
    assert bundle["image/png"][:4] == b"\x89PNG" and extra["image/png"]["alt"] == chart.alt
    assert chart.render("png") == bundle["image/png"] and chart.figure is figure
    texts = [text.get_text().replace("\n", " ") for text in figure.texts]
    assert texts == ["A wait", "Days", chart.caption]
    inches = figure.get_size_inches()[1]
    assert max(part.get_position().y1 for part in axes) * inches < (figure.texts[1].get_position()[1]) * inches - 0.1
    assert not pyplot.fignum_exists(figure.number)


# ---------------------------------------------------------------- every vintage

DAYS = {
    "00_start_here": ("2015-01-31", "2021-07-01"),
    "01_access": ("2015-01-31", "2018-06-30", "2021-07-01", "2024-12-31"),
    "02_finishing": ("2015-01-31", "2016-06-30", "2018-06-30", "2023-01-01", "latest"),
    "03_recovery": ("2015-10-31", "2017-12-31", "2021-07-01"),
    "04_claims": ("2015-01-31", "2017-12-31"),
    "11_waits": ("2020-01-15", "2021-07-01"),
    "12_capacity": ("2020-05-01", "2022-06-01"),
    "13_need": ("2020-05-01", "2022-06-01"),
}
"""Days on each side of what a notebook has to do without: areas, a forecast, a break, an XmR chart, months of waits."""


@pytest.mark.parametrize("stem, as_of", [(stem, day) for stem, days in DAYS.items() for day in days])
def test_no_vintage_has_an_empty_sentence_an_empty_table_or_a_missing_number(stem, as_of):
    made = run(stem, QUICK if stem == "00_start_here" else None, as_of=as_of)
    drawn = [part for part in made.shown if isinstance(part, charts.Chart)]
    tables = [part for part in made.shown if isinstance(part, words.Table)]
    said = [getattr(part, "data", "") for part in made.shown if type(part).__name__ == "Markdown"]
    texts = [made.headline, *said, *(part.caption for part in tables)]
    texts += [text for part in drawn for text in (part.title, part.unit, part.alt, part.caption)]
    holes = re.compile(r"\b(?:nan|NaN|NaT|None|inf)\b|  | [.,;:]|\.\.|\b1 (?:quarters|months|years)\b")
    assert [(text, hole[0]) for text in texts if (hole := holes.search(text.replace("…", "")))] == []
    assert made.headline.startswith("**") and made.headline.endswith((".", ".**"))
    assert tables and all(len(part.frame) and all(map(str.strip, part.frame.columns)) for part in tables)
    assert all(words.vintage(as_of) in part.caption for part in drawn)
