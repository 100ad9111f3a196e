"""The pages around the reports: front page, method, glossary, sources, changes; and the gallery of the repository."""

import re
from pathlib import Path

import pandas as pd

from iapt import data, models, runs, words
from iapt.data import fy, periods
from iapt.data.memory import remember
from iapt.paths import ROOT
from iapt.site import AROUND, about, areas, downloads, links, pages

LAST_TARGET, GOAL = 1_880_000, fy("2023-24")
OTHERS = "Made with other settings"
"""The group of reports that are not on the list of runs."""
TITLE = "NHS talking therapies in England: how many start, wait, finish and recover"
ABOUT = (
    "How many referrals start NHS talking therapies in England, how long they wait and how many recover: "
    "official figures, targets and forecasts, with their sources."
)


@remember
def headline() -> str:
    """The answer of the whole project in two sentences of Markdown."""
    outturn = data.series("started_treatment", "year")[GOAL]
    quarters = models.unbroken(data.series("started_treatment", "quarter", "2020-05-01")["2013-14":])
    horizon = (GOAL.asfreq("Q-MAR", "end") - quarters.index[-1]).n
    chance = models.forecast(quarters, horizon).reach(LAST_TARGET, GOAL)["pool"].round(2)
    return (
        f"**No. {words.count(outturn)} referrals started treatment in {words.when(GOAL)}, "
        f"{words.count(LAST_TARGET - outturn)} ({words.percent(100 * (1 - outturn / LAST_TARGET))}) short of the "
        f"target of {words.million(LAST_TARGET)}.** "
        "Run on what was known on 1 May 2020, our forecast method gives the target a chance of about "
        f"{words.chance(chance)}. Nobody made that forecast at the time."
    )


def render_site(made: list[tuple[runs.Run, str]], out: Path) -> dict[str, bytes]:
    """Every file of the site that is no report itself, by path, from the reports that are there and their states."""
    made = [(run, state) for run, state in made if (out / run.name / "notebook.ipynb").exists()]
    there = [run.name for run, _ in made]
    cards = [read_card(run, state, out / run.name) for run, state in made if "/" not in run.name]
    local = [run for run, _ in made if run.name.startswith("areas/") and "area" in run.parameters]
    listed = any(name.partition("/")[0] in runs.load() for name in there)
    answer, files = (headline(), downloads.write()) if listed else ("", {})
    around = {
        "method": list_method(),
        "glossary": {"terms": links.terms()},
        "sources": {"sources": show(list_sources())},
        "downloads": {"files": files, "pdf": (out / "reports.pdf").exists()},
        "changes": {"days": downloads.list_changes(), "log": read_log()},
    }
    written = {
        f"{folder}/index.html": pages.fill(f"{folder}.html.j2", title, folder, there, **around[folder])
        for folder, title in AROUND.items()
        if listed or folder != "downloads"
    }
    written["index.html"] = _write_front(cards, there, answer)
    if local:
        written |= areas.render(local, there)
    if listed:
        written["README.md"] = pages.TEMPLATES.get_template("README.md.j2").render(cards=cards, answer=answer)
    if about.address():
        places = {path.removesuffix("index.html") for path in written if path.endswith("index.html")}
        places |= {f"{name}/" for name in there}
        written["feed.xml"] = pages.fill("feed.xml.j2", "", "", there, days=around["changes"]["days"])
        written["sitemap.xml"] = pages.fill("sitemap.xml.j2", "", "", there, places=sorted(places))
    kept = {f"downloads/{name}": content for name, content in files.items()}
    return {path: text.encode() for path, text in written.items()} | kept


def read_card(run: runs.Run, state: str, folder: Path) -> dict:
    """What the indexes say of a report: its question, its answer, its first figure, and whether it is out of date."""
    parts = pages.collect_parts(runs.read_notebook(folder / "notebook.ipynb"))
    first = {part["kind"]: part for part in reversed(parts)}
    answer, listed = first.get("answer", {}).get("text", ""), runs.load().get(run.name)
    return {
        "name": run.name,
        "title": run.title,
        "group": listed.group if listed else OTHERS,
        "question": first.get("heading", {}).get("title") or run.title,
        "answer_text": answer,
        "answer": pages.to_html(next(iter(re.findall(r"^\*\*(.+?)\*\*", answer)), answer), inline=True),
        "vintage": pages.describe_vintage(run),
        "settings": "" if listed else pages.describe_settings(run),
        "stale": state not in ("up to date", "prose changed"),
        "figure": first.get("chart", {}).get("card"),
    }


# ---------------------------------------------------------------- front page


def _write_front(cards: list[dict], there: list[str], answer: str) -> str:
    listed = runs.load()
    groups = {group: [] for group in [*dict.fromkeys(run.group for run in listed.values()), OTHERS]}
    asked = set()
    for card in cards:
        heading = card["title"] if card["question"] in asked else card["question"]
        groups[card["group"]].append(card | {"heading": heading})
        asked.add(card["question"])
    figure = next((card["figure"]["name"] for card in cards if card["name"] == "access" and card["figure"]), "")
    return pages.fill(
        "index.html.j2",
        TITLE if answer else "Reports made here",
        "",
        there,
        description=ABOUT,
        picture=figure and f"access/figures/{figure}.png",
        groups=groups,
        areas=listed["areas"].group if any(name.startswith("areas/") for name in there) else None,
        figures=list_headlines() if answer else [],
        reports=there,
        answer=pages.to_html(answer),
    )


def list_headlines() -> list[dict[str, str]]:
    """Five figures for the last twelve months: report, label, value, direction since the twelve before, standard."""
    month, before_this = data.newest_month(), "in the twelve months before"
    starts, finished = (data.targets(measure).iloc[-1] for measure in ("started_treatment", "finished_course"))
    six, recovery = (data.standard(measure) for measure in ("waited_under_6_weeks_rate", "recovery_rate"))
    rows = (
        ("access", "Referrals that started treatment", "started_treatment", "",
         words.against(starts, data.series("started_treatment", "year"))),
        ("waits", "First treatment within 6 weeks of referral", "finished_waited_within_6_weeks", "finished_course",
         f"The national standard is at least {words.percent(six)}."),
        ("waits", "Second treatment over 90 days after the first", "second_treatment_over_90_days", "second_treatments",
         "No national waiting time standard covers this wait."),
        ("finishing", "Courses of treatment finished", "finished_course", "",
         f"The target is {words.count(finished['target'])} in {words.when(finished.name)}."),
        ("recovery", "Recovered, of those eligible", "recovered", "eligible_for_recovery",
         f"The national standard is at least {words.percent(recovery)}."),
    )  # fmt: skip
    shown = []
    for report, label, count, base, standard in rows:
        now, before = (_sum_year(count, month - 12 * ago, base) for ago in (0, 1))
        if base:
            change = "Up from" if now > before else "Down from" if now < before else "The same as the"
            value, direction = words.percent(now, 1), f"{change} {words.percent(before, 1)} {before_this}"
        else:
            value, direction = words.million(now), words.compare(now, before, before_this)
        told = {"value": value, "direction": f"{direction}.", "standard": standard}
        shown.append({"report": report, "label": label} | told)
    return shown


def _sum_year(count: str, month: pd.Period, base: str) -> float:
    """A count over the twelve months to a month, or its percentage of another count, to one decimal."""
    total = lambda measure: data.series(measure, "month").loc[month - 11 : month].sum(skipna=False)
    return round(100 * total(count) / total(base), 1) if base else total(count)


# ---------------------------------------------------------------- tables


def show(table: words.Table) -> str:
    """A table as the HTML of a page."""
    return pages.mend_table(table._repr_mimebundle_()["text/html"])


def tabulate(called: str, caption: str, frame: pd.DataFrame, /, **columns: str) -> words.Table:
    """The named columns of a table of the data as a table of the site, under the titles given for them."""
    return words.Table(called, caption, frame[list(columns)].rename(columns=columns))


def list_method() -> dict[str, str]:
    """The tables of the page on data and method, as HTML: what is counted, targets, breaks, scores of the models."""
    measures, targets, breaks = (data.load()[name] for name in ("measures", "targets", "breaks"))
    titles = data.load()["sources"].set_index("id")["title"]
    measures = measures.assign(definition=measures["definition"].map(pages.write_years))
    targets = targets.assign(
        year=targets["year"].map(pages.write_years).replace("", None),
        note=targets["note"].map(pages.write_years),
        source=targets["source"].map(titles),
    )
    breaks = breaks.assign(
        period=breaks["period"].map(lambda month: periods.label(periods.parse(month, "month"))),
        description=breaks["description"].map(pages.write_years),
    )
    shown = (
        tabulate("measures", "Every measure", measures, label="Measure", unit="Unit", definition="Definition"),
        tabulate(
            "targets", "National targets and standards", targets,
            name="Target", value="Value", unit="Unit", year="Year", note="How it was set", source="Source",
        ),
        tabulate(
            "breaks", "Breaks in the series", breaks,
            period="From", label="Break", description="What changed", url="Source",
        ),
        _list_model_card(),
    )  # fmt: skip
    return {table.name: show(table) for table in shown}


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
    lag = cards["lag_days"].map("assumed {:.0f} days after each period".format)
    cards = cards.assign(
        published=cards["published"].where(cards["published"] != "", lag), via=cards["via"].replace("", None)
    )
    return tabulate(
        "sources", "Every source of the figures", cards,
        title="Source", publisher="Publisher", published="Published", url="Address", via="Read in", licence="Licence",
    )  # fmt: skip


def read_log() -> str:
    """The log of changes to the project as HTML, without its list of changes in the data, which the page has."""
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    text = re.sub(r"^# .*\n|^### Changes in the data\n(?:(?!#).*\n)*", "", text, flags=re.M)
    return pages.add_anchors(pages.to_html(re.sub(r"^(#+) ", r"#\1 ", text, flags=re.M)), {"figures", "project"})[0]
