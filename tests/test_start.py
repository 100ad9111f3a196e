"""What a reader does: change one line of a notebook, run it, and find picture, caption, text and data changed with it."""


import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot
from notebook import run

from iapt import charts, data, words
from iapt.data import fy

CHART = '''charts.over_time(
    years[["started_treatment"]],'''
"""The first chart of 01_access begins so."""

ETS = '''
from statsmodels.tsa.exponential_smoothing.ets import ETSModel
def own_ets(y, horizon):
    season = "add" if len(y) > 15 else None
    fit = ETSModel(np.log(y.to_numpy()), trend="add", seasonal=season, seasonal_periods=4).fit(disp=False)
    paths = fit.simulate(horizon, anchor="end", repetitions=400, rng=np.random.default_rng(1))
    return np.exp(np.asarray(paths)).reshape(horizon, -1).T
'''


@pytest.fixture(scope="module")
def access():
    return run("01_access")


def test_the_first_chart_from_another_start_year(access):
    """Edit 1: the slice in the cell of the chart."""
    chart = run("01_access", {CHART: CHART.replace('years[["started', 'years["2015-16":][["started')}).named("access_by_year")
    before = access.named("access_by_year")
    assert before.data["year"].iloc[0] < "2013" and "in 2008/09" in before.alt
    drawn = chart.data.dropna(subset="started_treatment")
    assert drawn["year"].iloc[0] == "2015/16"
    assert drawn["started_treatment"].tolist() == data.series("started_treatment", "year")["2015-16":].dropna().tolist()
    assert "in 2015/16" in chart.alt and "2008/09" not in chart.alt
    assert "UK Parliament" in before.caption and "UK Parliament" not in chart.caption


def test_the_first_chart_of_another_measure():
    """Edit 2: the name of the measure in the cell of the chart."""
    edit = {CHART: CHART.replace('years[["started_treatment"]]', 'data.table(["self_referrals"], "year", as_of)')}
    chart = run("01_access", edit).named("access_by_year")
    assert list(chart.data.columns[:2]) == ["year", "self_referrals"]
    held = data.series("self_referrals", "year").dropna()
    assert chart.data["self_referrals"].dropna().tolist() == held.tolist()
    assert "Self-referrals:" in chart.alt and "Started treatment:" not in chart.alt
    assert "Hollow points are sums of published months" in chart.caption


def test_two_areas_on_one_chart():
    """Edit 3: two areas in place of England's starts, each a column with its own name."""
    columns = "pd.DataFrame({name: data.table(['finished_course'], 'year', as_of, area=name)['finished_course'] for name in ('Devon', 'Dorset')})"
    edit = {CHART: CHART.replace('years[["started_treatment"]]', f"{columns}, as_of=as_of, measures=['finished_course']")}
    chart = run("01_access", edit | {").add_targets(targets)": ")"}).named("access_by_year")
    assert list(chart.data) == ["year", "Devon", "Dorset"]
    devon = data.table(["finished_course"], "year", area="Devon")["finished_course"]
    assert chart.data["Devon"].tolist() == devon.tolist()
    assert f"Devon: {devon.iloc[0]:,.0f} in {words.when(devon.index[0])}" in chart.alt and "Dorset: " in chart.alt
    assert "NHS England" in chart.caption


def test_an_ets_with_season_beside_the_pool_is_drawn_in_the_fan_and_scored():
    """Edit 4: a function of one's own among the models of 05_target; the same lines then draw and score it."""
    edit = {
        "from iapt.data import fy": f"from iapt.data import fy{ETS}",
        'members=(*pool, "linear", "log_linear", "arima")': 'members=pool, beside=("linear", "log_linear", "arima")',
        'beside=("linear", "log_linear", "arima")': 'beside=("linear", "log_linear", "arima", own_ets)',
        'for line in ("linear", "log_linear"):': 'for line in ("linear", "log_linear", "own_ets"):',
        "models.MEANING[line]": "models.MEANING.get(line, line)",
        "draws=500": "draws=100",
    }
    notebook = run("05_target", edit)
    chart, scored = notebook.named("target_fan"), notebook.named("target_evaluation").frame
    paths = notebook["forecast"].member_paths["own_ets"]
    drawn = chart.data.dropna(subset="own_ets").set_index("year")["own_ets"]
    assert paths.shape[1] == notebook["horizon"] and drawn.index[-1] == "2023/24"
    assert drawn.iloc[-1] == np.median(notebook["forecast"].totals(notebook["ahead"], "own_ets").iloc[:, -1]).round(-2)
    assert "Dotted line, own_ets: " in chart.alt and words.million(drawn.iloc[-1]) in chart.alt
    row = scored[scored["Model"] == "own_ets"].iloc[0]
    assert 0 < row["Mase"] < 3 and 0 <= row["Inside80"] <= 1
    assert row["Windows"] == scored["Windows"].iloc[0]


@pytest.fixture(scope="module")
def start():
    """00_start_here without the line on topics (edit 5), its models scored from few origins."""
    topics = 'monthly = monthly[monthly["measure"].map(names["topic"]).isin(["access", "outcomes"])]\n'
    return run("00_start_here", {topics: "", "col_wrap=4": "col_wrap=8", "step=6": "step=24"})


def test_monthly_figures_of_all_measures_in_one_seaborn_grid(start):
    chart = start.named("start_grid")
    monthly = {m for m in data.load()["measures"]["measure"] if data.series(m, "month").notna().any()}
    assert len(monthly) > 80 and set(chart.data["measure"]) == monthly
    assert set(start["grid"].axes_dict) == monthly
    assert chart.title == f"{len(monthly)} measures by month"
    assert all(data.label(measure) in chart.alt for measure in monthly)
    assert "NHS England" in chart.caption and "newest figures" in chart.caption
    waits = chart.data[chart.data["measure"] == "mean_wait_started"].set_index("period")["value"]
    assert waits["2015-01"] == data.series("mean_wait_started", "month")["2015-01"]


def test_the_own_model_of_the_start_notebook_is_in_fan_and_table(start):
    chart, scored = start.named("start_fan"), start.named("start_scores").frame
    assert chart.data["own_ets"].count() == 12 and chart.data["median"].count() == 13
    assert "Dotted line, own ETS" in chart.alt
    assert scored["Model"].tolist()[0] == "pool" and scored["Model"].tolist()[-1] == "own_ets"


def test_export_holds_the_figures(start):
    sheets = pd.read_excel(start["book"], sheet_name=None)
    assert list(sheets) == ["Years", "England"]
    held = data.series("started_treatment", "year")
    assert sheets["Years"].set_index("year").at["2023/24", "started_treatment"] == held[fy("2023-24")]
    assert len(sheets["England"]) == (start["everything"]["area"] == "England").sum()


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


@pytest.mark.parametrize("as_of", ["2015-01-31", "2020-05-01", "2021-09-30"])
def test_the_start_notebook_runs_at_every_vintage(as_of):
    quick = {'isin(["access", "outcomes"])': 'isin(["access"])', "step=6": "step=24", "repetitions=2000": "repetitions=50"}
    shown = run("00_start_here", quick, as_of=as_of).shown
    texts = [f"{part.title} {part.alt} {part.caption}" for part in shown if isinstance(part, charts.Chart)]
    assert len(texts) >= 3 and not any(" nan" in text for text in texts)
    assert all(words.vintage(as_of) in text for text in texts)
