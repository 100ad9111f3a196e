"""The published figures, chosen as they could be known on a given day.

`series` is what notebooks and models use; `figures` adds where each value comes from and why.
"""

import difflib
import re

import pandas as pd

from iapt.data import periods
from iapt.data.memory import remember
from iapt.data.tables import load

PAGE = "qualitywatch-2020"
"""The source card of the indicator page of 1 May 2020."""

EXACT_TO = 10
"""A figure rounded to this or less counts as exact: the rounding is smaller than the conflicts between sources."""


# ---------------------------------------------------------------- vintages


def day(as_of: str | None) -> pd.Timestamp | None:
    """The day on which figures have to be known; None for the newest vintage (`None` or `latest`).

    Raises ValueError for anything else that is not a date written as 2020-05-01.
    """
    if as_of in (None, "latest"):
        return None
    try:
        if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", as_of):
            raise ValueError
        return pd.Timestamp(as_of)
    except (TypeError, ValueError):
        raise ValueError(f"as_of is {as_of!r}; expected a date such as 2020-05-01, or latest") from None


def known(as_of: str | None = None, table: str = "england") -> pd.DataFrame:
    """All published figures of a table (england, areas or groups) that were known on a day.

    With the standing and collection of their source. A figure is known from the day its source was published; where
    the card states a lag, from that many days after the end of its period. `available` holds that day.
    """
    dated = _date(table)
    limit = day(as_of)
    return dated if limit is None else dated[dated["available"] <= limit]


@remember
def _date(name: str) -> pd.DataFrame:
    tables = load()
    table = (
        tables[name]
        .rename(columns={"year": "period"})
        .merge(
            tables["sources"][["id", "published", "lag_days", "standing", "collection"]].rename(
                columns={"id": "source"}
            ),
            on="source",
        )
    )
    frequencies = table["frequency"] if "frequency" in table else ["year"] * len(table)
    table["period"] = [periods.parse(text, frequency) for text, frequency in zip(table["period"], frequencies)]
    ends = pd.to_datetime([period.end_time.normalize() for period in table["period"]])
    lagged = ends + pd.to_timedelta(table["lag_days"], unit="D")
    table["available"] = lagged.where(table["lag_days"].notna(), pd.to_datetime(table["published"].replace("", None)))
    return table


def newest_month(as_of: str | None = None) -> pd.Period:
    """The last month for which people starting treatment are known."""
    return figures("started_treatment", "month", as_of).index[-1]


# ---------------------------------------------------------------- choosing


def series(measure: str, frequency: str, as_of: str | None = None) -> pd.Series:
    """The figures of one measure for England: one value a period, gaps as NaN.

    `frequency` is year, quarter or month; the index is a PeriodIndex (`Y-MAR`, `Q-MAR`, `M`) without holes.
    Counts are referrals, rates are per cent. `figures` says where each value comes from.
    Raises ValueError for an unknown measure, frequency or date.
    """
    return figures(measure, frequency, as_of)["value"].rename(measure)


def figures(measure: str, frequency: str, as_of: str | None = None, *, without: tuple[str, ...] = ()) -> pd.DataFrame:
    """The figures of one measure with their origin: value, basis, source, collection, rounded_to and why.

    Where several figures exist for a period the first of these is used: official statistics; the sum of the
    official months where all of them exist (or a rate from official counts); official statistics printed
    rounded; a statement quoting them; somebody else quoting them. Within one kind the latest published
    counts, so that revisions replace what they revise. `basis` is `published`, `sum of months` or
    `from counts`; `without` leaves out sources, to ask what is known independently of them.
    """
    return _choose(measure, frequency, as_of, without)


@remember
def _choose(measure: str, frequency: str, as_of: str | None, without: tuple[str, ...]) -> pd.DataFrame:
    codebook = load()["measures"].set_index("measure")
    _require(measure, codebook.index, "measure")
    _require(frequency, periods.FREQUENCIES, "frequency")
    candidates = pd.concat(
        [_published(measure, frequency, as_of, without), _derived(codebook.loc[measure], frequency, as_of, without)]
    )
    if candidates.empty:
        index = pd.PeriodIndex([], freq=periods.FREQUENCIES[frequency], name="period")
        return pd.DataFrame(columns=["value", "basis", "source", "collection", "rounded_to", "why"], index=index)
    candidates = _rank(candidates)
    chosen = candidates.drop_duplicates("period").set_index("period")
    chosen["why"] = {period: _explain(group) for period, group in candidates.groupby("period")}
    chosen.index = pd.PeriodIndex(chosen.index, freq=periods.FREQUENCIES[frequency], name="period")
    whole = pd.period_range(chosen.index[0], chosen.index[-1], name="period")
    return chosen.reindex(whole)[["value", "basis", "source", "collection", "rounded_to", "why"]]


def _rank(candidates: pd.DataFrame) -> pd.DataFrame:
    return candidates.sort_values(["period", "rank", "available", "source"], ascending=[True, True, False, True])


def _require(value: str, allowed: pd.Index | dict, what: str) -> None:
    if value not in allowed:
        near = difflib.get_close_matches(str(value), allowed, 1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise ValueError(f"unknown {what} {value!r}; {hint}Known: {', '.join(allowed)}")


def _published(measure: str, frequency: str, as_of: str | None, without: tuple[str, ...]) -> pd.DataFrame:
    table = known(as_of)
    table = table[
        (table["measure"] == measure) & (table["frequency"] == frequency) & ~table["source"].isin(without)
    ].copy()
    table["basis"] = "published"
    rounded = table["rounded_to"] > EXACT_TO
    if measure.endswith("_rate"):
        rounded = table["rounded_to"].notna()
    table["rank"] = (
        table["standing"]
        .map({"official": 0, "statement": 3, "secondary": 4})
        .where(~((table["standing"] == "official") & rounded), 2)
    )
    return table[["period", "value", "basis", "source", "collection", "rounded_to", "available", "rank", "standing"]]


def _derived(measure: pd.Series, frequency: str, as_of: str | None, without: tuple[str, ...]) -> pd.DataFrame:
    """Figures nobody published, made of figures that somebody did: complete sums of months, and rates from counts."""
    if measure["kind"] == "rate" and measure["numerator"]:
        top = figures(measure["numerator"], frequency, as_of, without=without)
        bottom = figures(measure["denominator"], frequency, as_of, without=without)
        both = top.join(bottom, suffixes=("", "_of"), how="inner").dropna(subset=["value", "value_of"])
        both["value"] = 100 * both["value"].astype(float) / both["value_of"].astype(float)
        return _mark_derived(both, "from counts")
    if measure["kind"] != "flow" or frequency == "month":
        return pd.DataFrame()
    months = _published(measure.name, "month", as_of, without)
    months = _rank(months[months["standing"] == "official"]).drop_duplicates("period")
    whole = pd.PeriodIndex(months["period"], freq="M").asfreq(periods.FREQUENCIES[frequency])
    groups = months.assign(period=whole).groupby("period")
    sums = groups.agg(
        value=("value", "sum"), months=("value", "size"), source=("source", _join), collection=("collection", _join)
    )
    return _mark_derived(sums[sums["months"] == {"quarter": 3, "year": 12}[frequency]], "sum of months")


def _mark_derived(table: pd.DataFrame, basis: str) -> pd.DataFrame:
    table = table[["value", "source", "collection"]].rename_axis("period").reset_index()
    return table.assign(basis=basis, rounded_to=None, available=pd.NaT, rank=1, standing="official")


def _join(values: pd.Series) -> str:
    return "; ".join(dict.fromkeys(values))


def _explain(candidates: pd.DataFrame) -> str:
    used, *others = candidates.itertuples()
    kind = {0: "official statistics", 1: used.basis, 2: "official, rounded", 3: "statement", 4: "secondary source"}[
        used.rank
    ]
    rest = [
        f"{other.source if other.rank != 1 else other.basis} {other.value:,.6g}"
        if other.value < 100
        else f"{other.source if other.rank != 1 else other.basis} {other.value:,.0f}"
        for other in others
        if other.value != used.value
    ]
    agree = sum(other.value == used.value for other in others)
    return kind + (f"; {agree} more agree" if agree else "") + (f"; not used: {', '.join(rest)}" if rest else "")


# ---------------------------------------------------------------- what goes with the figures


@remember
def label(measure: str) -> str:
    """The name of a measure for people."""
    return load()["measures"].set_index("measure").at[measure, "label"]


@remember
def targets(measure: str, as_of: str | None = None) -> pd.DataFrame:
    """National targets on a measure that were known on a day, indexed by id; `year` is a Period or missing."""
    table = load()["targets"].set_index("id")
    limit = day(as_of)
    seen = table["known_from"].map(lambda text: limit is None or not text or pd.Timestamp(text) <= limit)
    table = table[(table["measure"] == measure) & seen].copy()
    table["year"] = [periods.parse(text, "year") if text else None for text in table["year"]]
    return table


@remember
def breaks(measure: str, frequency: str) -> pd.DataFrame:
    """Breaks that concern a measure: `period` is the first one on the new basis, with label, cut and description."""
    table = load()["breaks"]
    outcomes = measure.startswith(("recover", "reliabl", "at_caseness"))
    table = table[(table["affects"] == "all") | outcomes].copy()
    table["period"] = [periods.parse(text, "month").asfreq(periods.FREQUENCIES[frequency]) for text in table["period"]]
    return table.reset_index(drop=True)


@remember
def find_place(text: str) -> str:
    """The code of an area given by its code or name; `NHS Devon ICB` is Devon.

    Raises ValueError with the nearest names for any other text.
    """
    names = load()["places"].set_index("area")["name"]
    short = re.sub(r"^nhs | (icb|integrated care board)$", "", " ".join(str(text).lower().split()))
    codes = {key.lower(): code for code, name in names.items() for key in (code, name)}
    if short in codes:
        return codes[short]
    within = [name for name in names if short and short in name.lower()]
    by_key = {name.lower(): name for name in names}
    near = within[:3] or [by_key[key] for key in difflib.get_close_matches(short, by_key, 3, 0.4)]
    hint = f"nearest: {'; '.join(near)}. " if near else ""
    raise ValueError(
        f"area is {text!r}; {hint}Allowed: England, a region or an integrated care board, by name or by code such "
        f"as {names.index[-1]}"
    )
