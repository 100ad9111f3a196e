"""The pages around the reports: front page, data and method, glossary, sources, changes, and the gallery of the repository."""

import re
from pathlib import Path

import pandas as pd

from iapt import charts, data, models, runs, words
from iapt.data import fy
from iapt.paths import ROOT
from iapt.site import about, areas, downloads, links, pages

LAST_TARGET, GOAL = 1_880_000, fy("2023-24")
OTHERS = "Made with other settings"
"""The group of reports that are not on the list of runs."""


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


def render_site(made: list[tuple[runs.Run, str]], out: Path) -> dict[str, bytes]:
    """Every file of the site that is no report itself, by path, from the reports that are there and their states."""
    made = [(run, state) for run, state in made if (out / run.name / "notebook.ipynb").exists()]
    there = [run.name for run, _ in made]
    cards = [read_card(run, state, out / run.name) for run, state in made if "/" not in run.name]
    local = [run for run, _ in made if run.name.startswith("areas/") and "area" in run.parameters]
    answer, files = headline(), downloads.write()
    written = {
        "index.html": _write_front(cards, there, answer),
        "method/index.html": _write_method(there),
        "glossary/index.html": pages.fill("glossary.html.j2", "Glossary", "glossary", there, terms=_explain_terms()),
        "sources/index.html": _write_sources(there),
        "changes/index.html": _write_changes(there),
        "downloads/index.html": pages.fill(
            "downloads.html.j2", "Downloads", "downloads", there,
            files=[{"path": path, "size": f"{len(content) / 1000:,.0f} kB"} for path, content in files.items()],
            pdf=(out / "reports.pdf").exists(), figures=len(downloads.list_figures()),
        ),
        "README.md": _write_gallery(cards, answer),
    }  # fmt: skip
    if local:
        written |= areas.render(local, there)
    if about.address():
        written["feed.xml"] = downloads.write_feed()
        written["sitemap.xml"] = downloads.write_sitemap([f"{name}/index.html" for name in there] + [*written])
    return {path: text.encode() for path, text in written.items()} | {f"downloads/{path}": files[path] for path in files}


def read_card(run: runs.Run, state: str, folder: Path) -> dict:
    """What the indexes say of a report: its question, its answer, its first figure, and whether it is out of date."""
    cells = runs.read_notebook(folder / "notebook.ipynb")["cells"]
    bundles = [
        output["data"]
        for cell in cells
        if cell["cell_type"] == "code"
        for output in cell["outputs"]
        if "data" in output
    ]
    prose = ("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    answer = next(("".join(bundle["text/markdown"]) for bundle in bundles if "text/markdown" in bundle), "")
    listed = runs.load().get(run.name)
    return {
        "name": run.name,
        "title": run.title,
        "group": listed.group if listed else OTHERS,
        "question": next(iter(re.findall(r"^# (.+)$", next(prose, ""), re.M)), run.title),
        "answer_text": answer,
        "answer": pages.to_html(next(iter(re.findall(r"^\*\*(.+?)\*\*", answer)), answer), inline=True),
        "vintage": pages.describe_vintage(run),
        "settings": "" if listed else pages.describe_settings(run),
        "stale": state not in ("up to date", "prose changed"),
        "figure": next((bundle[charts.MIME] for bundle in bundles if charts.MIME in bundle), None),
    }


# ---------------------------------------------------------------- front page and gallery


def _write_front(cards: list[dict], there: list[str], answer: str) -> str:
    listed = runs.load()
    groups = dict.fromkeys(card["group"] for card in cards)
    with_areas = any(name.startswith("areas/") for name in there)
    if with_areas:
        groups.setdefault(listed["areas"].group)
    order = [*dict.fromkeys(run.group for run in listed.values()), OTHERS]
    figure = next((card["figure"]["name"] for card in cards if card["name"] == "access" and card["figure"]), "")
    whole = any(name.partition("/")[0] in listed for name in there)
    return pages.fill(
        "index.html.j2",
        "NHS talking therapies in England: how many start, wait, finish and recover" if whole else "Reports made here",
        "",
        there,
        description="Who gets NHS talking therapies in England, how long people wait, and how many recover: official "
        "figures, targets and forecasts, each with its source.",
        picture=f"access/figures/{figure}.png" if figure else "",
        groups=[
            {"title": title, "cards": [card for card in cards if card["group"] == title], "areas": with_areas and title == listed["areas"].group}
            for title in order
            if title in groups
        ],
        figures=list_headlines() if whole else [],
        reports=there,
        answer=pages.to_html(answer) if whole else "",
    )  # fmt: skip


def list_headlines() -> list[dict[str, str]]:
    """Five figures for the last twelve months: report, name, value, direction against the twelve before, and standard."""
    month, before_this = data.newest_month(), "in the twelve months before"
    last = lambda measure, ago=0: data.series(measure, "month").loc[month - 12 * ago - 11 : month - 12 * ago].sum(skipna=False)
    share = lambda top, bottom, ago: 100 * last(top, ago) / last(bottom, ago)

    def show(report: str, label: str, value: str, direction: str, standard: str) -> dict[str, str]:
        return {"report": report, "label": label, "value": value, "direction": f"{direction}.", "standard": standard}

    def count(report: str, measure: str, label: str, standard: str) -> dict[str, str]:
        now, before = last(measure), last(measure, 1)
        return show(report, label, words.million(now), words.compare(now, before, before_this), standard)

    def rate(report: str, top: str, bottom: str, label: str, standard: str) -> dict[str, str]:
        now, before = (share(top, bottom, ago).round(1) for ago in (0, 1))
        change = "Up from" if now > before else "Down from" if now < before else "The same as the"
        return show(report, label, words.percent(now, 1), f"{change} {words.percent(before, 1)} {before_this}", standard)

    starts, finished = data.targets("started_treatment").iloc[-1], data.targets("finished_course").iloc[-1]
    six, recovery = data.standard("waited_under_6_weeks_rate"), data.standard("recovery_rate")
    outturn = data.series("started_treatment", "year")
    return [
        count("access", "started_treatment", "Referrals that started treatment", words.against(starts, outturn)),
        rate(
            "waits", "finished_waited_within_6_weeks", "finished_course", "First treatment within 6 weeks of referral",
            f"The national standard is at least {words.percent(six)}.",
        ),
        rate(
            "waits", "second_treatment_over_90_days", "second_treatments", "Second treatment over 90 days after the first",
            "The national waiting time standards do not cover this wait.",
        ),
        count(
            "finishing", "finished_course", "Courses of treatment finished",
            f"The target is {words.count(finished['target'])} in {words.when(finished.name)}.",
        ),
        rate(
            "recovery", "recovered", "eligible_for_recovery", "Recovered, of those eligible",
            f"The national standard is at least {words.percent(recovery)}.",
        ),
    ]  # fmt: skip


def _write_gallery(cards: list[dict], answer: str) -> str:
    lines = [
        "<!-- written by iapt report -->",
        "",
        "# Reports",
        "",
        "Made by `iapt report` from the figures in `data/`, which also makes the pages: open `index.html`.",
        "",
        answer,
        "",
    ]
    for card in cards:
        lines += [f"## {card['title']}", "", f"*{card['vintage']}*", "", card["answer_text"], ""]
        if card["figure"]:
            lines += [f"![{card['figure']['alt']}]({card['name']}/figures/{card['figure']['name']}.svg)", ""]
    return "\n".join(lines)


# ---------------------------------------------------------------- data and method


def _write_method(there: list[str]) -> str:
    tables = data.load()
    measures, breaks, targets = (tables[name] for name in ("measures", "breaks", "targets"))
    titles = tables["sources"].set_index("id")["title"]
    sections = {
        "definitions": words.Table(
            "measures",
            "What is counted",
            measures[["label", "unit", "definition"]].set_axis(["Measure", "Unit", "Definition"], axis=1),
        ),
        "targets": words.Table(
            "targets",
            "National targets and standards",
            targets[["name", "value", "unit", "year", "note", "source"]]
            .assign(year=targets["year"].str.replace("-", "/").replace("", None), source=targets["source"].map(titles))
            .set_axis(["Target", "Value", "Unit", "Year", "How it was set", "Source"], axis=1),
        ),
        "breaks": words.Table(
            "breaks",
            "Breaks in the series",
            breaks[["period", "label", "description", "url"]].set_axis(["From", "Break", "What changed", "Source"], axis=1),
        ),
        "card": _list_model_card(),
    }
    return pages.fill("method.html.j2", "Data and method", "method", there, **_show(sections))


def _show(tables: dict[str, words.Table]) -> dict[str, str]:
    return {name: pages.mend_table(table._repr_mimebundle_()["text/html"]) for name, table in tables.items()}


def _list_model_card() -> words.Table:
    card = data.load()["benchmark"]
    card = card[card["benchmark"] == models.CARD]
    columns = {"total_inside80": "Inside 80%", "total_inside95": "Inside 95%", "total_error": "Median error"}
    shown = card.pivot(index="model", columns="metric", values="value")[list(columns)].rename(columns=columns)
    shown = shown.loc[["pool", *models.POOL]].rename(models.MEANING).rename_axis("Model")
    caption = f"The same models on {card['series'].max():,} public series ({models.CARD})"
    return words.table(100 * shown, caption, name="card", **dict.fromkeys(shown, "{:.0f}%"))


def _explain_terms() -> dict[str, dict]:
    return {name: term | {"html": pages.to_html(term["meaning"])} for name, term in links.terms().items()}


def _write_sources(there: list[str]) -> str:
    return pages.fill("sources.html.j2", "Sources", "sources", there, **_show({"sources": list_sources()}))


def list_sources() -> words.Table:
    """All source cards."""
    cards = data.load()["sources"]
    table = pd.DataFrame(
        {
            "Source": cards["title"],
            "Publisher": cards["publisher"],
            "Published": [
                card.published.replace("-", "\u2011") or f"{card.lag_days:.0f} days after each period"
                for card in cards.itertuples()
            ],
            "Address": cards["url"],
            "Read in": cards["via"].replace("", None),
            "Licence": cards["licence"],
        }
    )
    return words.Table("sources", "Every source of the figures", table)


def _write_changes(there: list[str]) -> str:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    log = re.sub(r"^(#+) ", r"#\1 ", re.sub(r"^# .*\n", "", text, count=1), flags=re.M)
    log, _ = pages.add_anchors(pages.to_html(log), {"figures", "project"})
    days = [
        {"id": day, "day": about.write_day(day), "lines": downloads.describe_changes(rows)}
        for day, rows in list(data.load()["changes"].groupby("added"))[::-1]
    ]
    return pages.fill("changes.html.j2", "What changed", "changes", there, days=days, log=log)
