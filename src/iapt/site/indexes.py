"""The site around the reports: front page, areas, data and method, and the gallery for the repository's front."""

import html
from pathlib import Path

import pandas as pd

from iapt import charts, data, models, runs, words
from iapt.data import fy
from iapt.site import pages

THEN = "-2020"
"""Runs whose names end in this were made with what was known on 1 May 2020."""
LAST_TARGET, GOAL = 1_880_000, fy("2023-24")


def headline() -> str:
    """The answer of the whole project in two sentences of Markdown."""
    outturn = data.series("started_treatment", "year")[GOAL]
    quarters = data.unbroken(data.series("started_treatment", "quarter", "2020-05-01")["2013-14":])
    horizon = (GOAL.asfreq("Q-MAR", "end") - quarters.index[-1]).n
    chance = models.forecast(quarters, horizon).reach(LAST_TARGET, GOAL)["pool"].round(2)
    return (
        f"**No. {words.count(outturn)} referrals started treatment in {words.when(GOAL)}, "
        f"{words.count(LAST_TARGET - outturn)} ({words.percent(100 * (1 - outturn / LAST_TARGET))}) short of the target of "
        f"{words.million(LAST_TARGET)}.** "
        "Run on what was known on 1 May 2020, our forecast method gives the target a chance of about "
        f"{words.chance(chance)}. Nobody made that forecast at the time."
    )


def render_site(made: list[tuple[runs.Run, str]], out: Path) -> dict[str, str]:
    """Every page of the site that is no report itself, by path, from the reports that are there and their states."""
    made = [(run, state) for run, state in made if (out / run.name / "notebook.ipynb").exists()]
    there = list(dict.fromkeys(run.name.partition("/")[0] for run, _ in made))
    cards = [read_card(run, state, out / run.name) for run, state in made if "/" not in run.name]
    spread = [run for run, _ in made if "/" in run.name and "area" in run.values()]
    written = {
        "index.html": _write_front(cards, any(run.name.startswith("areas/") for run in spread), there),
        "method/index.html": _write_method(there),
    }
    for folder in dict.fromkeys(run.name.partition("/")[0] for run in spread):
        inside = [run for run in spread if run.name.startswith(f"{folder}/")]
        written[f"{folder}/index.html"] = _write_areas(inside, there)
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
            targets[["name", "value", "unit", "year", "attested", "note"]]
            .assign(year=targets["year"].str.replace("-", "/").replace("", None))
            .set_axis(["Target", "Value", "Unit", "Year", "Source", "How it was set"], axis=1),
        ),
        "breaks": words.Table(
            "breaks",
            "Breaks in the series",
            breaks[["period", "label", "description"]].set_axis(["From", "Break", "What changed"], axis=1),
        ),
        "sources": list_sources(),
        "card": _list_model_card(),
    }
    shown = {name: table._repr_mimebundle_()["text/html"] for name, table in sections.items()}
    return pages.fill(
        "method.html.j2", "Data and method", "../", "method", there, vintage=pages.capitalise(words.vintage("latest")), **shown
    )


def _list_model_card() -> words.Table:
    card = data.load()["benchmark"]
    card = card[card["benchmark"] == models.CARD]
    columns = {"total_inside80": "Inside 80%", "total_inside95": "Inside 95%", "total_error": "Median error"}
    shown = card.pivot(index="model", columns="metric", values="value")[list(columns)].rename(columns=columns)
    shown = shown.loc[["pool", *models.POOL]].rename(models.MEANING).rename_axis("Model")
    caption = f"The same models on {card['series'].max():,} public series ({models.CARD})"
    return words.table(100 * shown, caption, name="card", **dict.fromkeys(shown, "{:.0f}%"))


def list_sources() -> words.Table:
    """All source cards."""
    cards = data.load()["sources"]
    table = pd.DataFrame(
        {
            "Source": cards["title"],
            "Publisher": cards["publisher"],
            "Published": cards["published"].replace("", None),
            "Known after": [f"{lag:.0f} days" if pd.notna(lag) else None for lag in cards["lag_days"]],
            "Address": cards["url"],
            "Read in": cards["via"].replace("", None),
            "Licence": cards["licence"],
        }
    )
    return words.Table("sources", "Sources", table)


# ---------------------------------------------------------------- areas


def _write_areas(chosen: list[runs.Run], there: list[str]) -> str:
    """The index of the areas: a table to sort and to filter, by name, code, town and region."""
    as_of = chosen[0].values()["as_of"]
    held = data.areas(["referrals_received", "finished_course", "recovered", "eligible_for_recovery"], as_of).dropna()
    held = held[held["finished_course"] <= held["referrals_received"]]
    year = held.drop(index=data.ENGLAND, level="area").index.get_level_values("year").max()
    now, places, towns = held.xs(year, level="year"), data.places(), data.load()["towns"]
    items = []
    for run in chosen:
        code = data.find_place(run.values()["area"])
        place, row = places.loc[code], now.loc[code] if code in now.index else None
        near = towns.loc[towns["board"] == code, "name"].tolist()
        items.append(
            {
                "href": f"{run.name.partition('/')[2]}/index.html",
                "name": place["name"],
                "kind": place["type"],
                "region": places.at[data.region_of(code), "name"],
                "find": html.escape(" ".join([place["name"], code, *near]).lower()),
                "cells": ["–"] * 3
                if row is None
                else [
                    words.count(row["referrals_received"]),
                    f"{100 * row['finished_course'] / row['referrals_received']:.1f}",
                    words.percent(100 * row["recovered"] / row["eligible_for_recovery"], 1),
                ],
            }
        )
    return pages.fill(
        "areas.html.j2", "Areas", "../", "areas", there, items=items, year=words.when(year),
        vintage=pages.capitalise(words.vintage(as_of)), wide=True,
    )  # fmt: skip
