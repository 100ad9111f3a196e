"""The site around the reports: front page, areas, data and method, and the gallery for the repository's front."""

import html
import math
from pathlib import Path

import pandas as pd

from iapt import data, runs
from iapt.answers import access, areas, prospects, recovery
from iapt.data import periods
from iapt.show import charts, words
from iapt.site import pages

THEN = "-2020"
"""Runs whose names end in this were made with what was known on 1 May 2020."""
TREND = "figures/area_trend.csv"
"""The figures of an area by year, in its report."""
LAST_TARGET = ("2020-05-01", "started_treatment", 1_880_000, "2023-24", "2013-14")


def headline() -> str:
    """The answer of the whole project in two sentences of Markdown."""
    table = access.outcomes("latest")
    goal = table.loc["access-2024"]
    question = prospects.Question(*LAST_TARGET)
    chance = question.forecast.reach(question.target, question.target_quarters).at["pooled", "probability"]
    return (
        f"**No. {words.count(goal.outturn)} referrals started treatment in {periods.label(goal.year)}, "
        f"{words.count(-goal.gap)} ({words.percent(100 - goal.share)}) short of the target of "
        f"{words.million(goal.target)}.** "
        "Asked on 1 May 2020, with what was known then, the forecast gave the target a chance of "
        f"{prospects.nearest_five(chance)}."
    )


def render_site(made: list[tuple[runs.Run, str]], out: Path) -> dict[str, str]:
    """Every page of the site that is no report itself, by path, from the reports that are there and their states."""
    made = [(run, state) for run, state in made if (out / run.name / "notebook.ipynb").exists()]
    there = list(dict.fromkeys(run.name.partition("/")[0] for run, _ in made))
    cards = [read_card(run, state, out / run.name) for run, state in made if "/" not in run.name]
    spread = [run for run, _ in made if (out / run.name / TREND).exists()]
    written = {
        "index.html": _write_front(cards, any(run.name.startswith("areas/") for run in spread), there),
        "method/index.html": _write_method(there),
    }
    for folder in dict.fromkeys(run.name.partition("/")[0] for run in spread if "/" in run.name):
        inside = [run for run in spread if run.name.startswith(f"{folder}/")]
        written[f"{folder}/index.html"] = _write_areas(inside, out, there)
    return written | {"README.md": _write_gallery(cards)}


def read_card(run: runs.Run, state: str, folder: Path) -> dict:
    """What the front page says of a report: its answer, its first figure, its vintage, and whether it is out of date."""
    notebook = runs.read_notebook(folder / "notebook.ipynb")
    bundles = [
        output["data"]
        for cell in notebook["cells"]
        if cell["cell_type"] == "code"
        for output in cell["outputs"]
        if "data" in output
    ]
    answer = next(("".join(bundle["text/markdown"]) for bundle in bundles if "text/markdown" in bundle), "")
    card = {
        "name": run.name,
        "title": run.title,
        "answer_text": answer,
        "answer": pages.to_html(answer, inline=True),
        "vintage": pages.describe_vintage(run),
        "stale": state not in ("up to date", "prose changed"),
    }
    chart = next((bundle for bundle in bundles if charts.MIME in bundle), None)
    if chart is None:
        return card | {"svg": ""}
    return card | {
        "figure": chart[charts.MIME]["name"],
        "alt": chart[charts.MIME]["alt"],
        **pages.embed("".join(chart["image/svg+xml"])),
    }


def _write_front(cards: list[dict], with_areas: bool, there: list[str]) -> str:
    groups = [
        {"title": "Today", "cards": [card for card in cards if not card["name"].endswith(THEN)]},
        {"title": "As it stood in May 2020", "cards": [card for card in cards if card["name"].endswith(THEN)]},
    ]
    return pages.fill(
        "index.html.j2",
        "Was the target for NHS talking therapies reached?",
        "",
        "",
        there,
        groups=groups,
        hero=next((card for card in cards if card["name"] == "access"), None),
        with_areas=with_areas,
        answer=pages.to_html(headline()),
        vintage=pages.capitalise(words.vintage("latest")),
        wide=True,
    )


def _write_gallery(cards: list[dict]) -> str:
    lines = [
        "<!-- written by iapt report -->",
        "",
        "# Reports",
        "",
        "Made by `make reports` from the figures in `data/`, which also makes the pages: open `index.html`.",
        "",
        headline(),
        "",
    ]
    for card in cards:
        lines += [f"## {card['title']}", "", f"*{card['vintage']}*", "", card["answer_text"], ""]
        if card["svg"]:
            lines += [f"![{card['alt']}]({card['name']}/figures/{card['figure']}.svg)", ""]
    return "\n".join(lines)


# ---------------------------------------------------------------- data and method


def _write_method(there: list[str]) -> str:
    tables = data.load()
    measures, breaks, targets = (tables[name] for name in ("measures", "breaks", "targets"))
    sections = {
        "definitions": words.Table(
            "measures",
            "What is counted",
            measures[["label", "unit", "definition"]].set_axis(["Measure", "Unit", "Definition"], axis=1),
        ),
        "targets": words.Table(
            "targets",
            "National targets and standards",
            targets[["name", "value", "unit", "year", "note"]]
            .assign(value=targets["value"].map("{:,.0f}".format), year=targets["year"].replace("", None))
            .set_axis(["Target", "Value", "Unit", "Year", "How it was set"], axis=1),
        ),
        "breaks": words.Table(
            "breaks",
            "Breaks in the series",
            breaks[["period", "label", "description"]].set_axis(["From", "Break", "What changed"], axis=1),
        ),
        "sources": list_sources(),
        "card": prospects.list_model_card(),
    }
    shown = {name: table._repr_mimebundle_()["text/html"] for name, table in sections.items()}
    return pages.fill(
        "method.html.j2", "Data and method", "../", "method", there, vintage=pages.capitalise(words.vintage("latest")), **shown
    )


def list_sources() -> words.Table:
    """All source cards."""
    cards = data.load()["sources"]
    table = pd.DataFrame(
        {
            "Source": cards["title"],
            "Publisher": cards["publisher"],
            "Published": cards["published"].replace("", None),
            "Known after": [f"{lag:.0f} days" if pd.notna(lag) else None for lag in cards["lag_days"]],
            "Licence": cards["licence"],
            "Address": cards["url"],
        }
    )
    return words.Table("sources", "Sources", table)


# ---------------------------------------------------------------- areas


def _write_areas(chosen: list[runs.Run], out: Path, there: list[str]) -> str:
    """The index of the areas, from the figures that their reports hold."""
    figures = [pd.read_csv(out / run.name / TREND) for run in chosen]
    rates = pd.concat(figures)["recovery_value"]
    bounds = math.floor(rates.quantile(0.01)), math.ceil(rates.quantile(0.99))
    return pages.fill(
        "areas.html.j2",
        "Areas",
        "../",
        "areas",
        there,
        items=[_describe_area(run, table, bounds) for run, table in zip(chosen, figures)],
        vintage=pages.capitalise(words.vintage(chosen[0].values()["as_of"])),
        standard=_draw_path(pd.Series(recovery.standard(), range(2)), bounds),
        standard_rate=words.percent(recovery.standard()),
        bounds=[words.percent(bound) for bound in bounds],
        wide=True,
    )


def _describe_area(run: runs.Run, table: pd.DataFrame, bounds: tuple[float, float]) -> dict:
    """One entry of the index: `table` holds the area first, then its region, then England."""
    code = table["area"].iloc[0]
    england, own = (
        table[table["area"] == area].set_index("period")["recovery_value"] for area in (areas.ENGLAND, code)
    )
    own = own.reindex(england.index)
    known = own.dropna()
    return {
        "href": f"{run.name.partition('/')[2]}/index.html",
        "name": table["name"].iloc[0],
        "kind": areas.places().at[code, "type"],
        "find": html.escape(f"{table['name'].iloc[0]} {code}".lower()),
        "rate": f"{words.percent(known.iloc[-1], 1)} in {known.index[-1]}",
        "since": f"{words.percent(known.iloc[0], 1)} in {known.index[0]}",
        "line": _draw_path(own, bounds),
        "england": _draw_path(england, bounds),
    }


def _draw_path(y: pd.Series, bounds: tuple[float, float], width: float = 100, height: float = 36) -> str:
    """The values from left to right as the path of an SVG of this size; the line stops at gaps."""
    low, high = bounds
    step = width / max(len(y) - 1, 1)
    drawn = y.notna().tolist()
    spots = (f"{place * step:.1f},{height * (high - value) / (high - low):.1f}" for place, value in enumerate(y))
    starts = (f"L{spot}" if before else f"M{spot}h0" for spot, before in zip(spots, [False, *drawn]))
    return "".join(part for part, shown in zip(starts, drawn) if shown)
