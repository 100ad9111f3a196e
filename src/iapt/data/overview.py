"""What the data hold, on one screen: coverage, gaps, conflicts between sources, and what is out of date."""

import numpy as np
import pandas as pd

from iapt import data
from iapt.data import periods
from iapt.data.tables import find_unread

SHOWN = 5
"""How many gaps and conflicts fit on the screen."""


def write(stale: list[str]) -> str:
    """The screen of `iapt check`, for data without problems; `stale` are the reports that are out of date."""
    known, tables = data.known(), data.load()
    newest = periods.label(data.newest_month()) if len(known) else "none"
    measures, sources = known["measure"].nunique(), known["source"].nunique()
    lines = [f"{len(known)} figures of {measures} measures from {sources} sources; newest month: {newest}", ""]
    lines += [f"{'':<26}{'measures':<10}{'years':<22}{'quarters':<30}{'months':<22}"]
    for topic, group in tables["measures"].groupby("topic", sort=False):
        held = known[known["measure"].isin(group["measure"])]
        cells = [_cover(held, frequency) for frequency in periods.FREQUENCIES]
        lines.append(f"{topic:<26}{len(group):<10}{cells[0]:<22}{cells[1]:<30}{cells[2]:<22}".rstrip())
    lines += _head("gaps between the first and the last figure", find_gaps(known))
    lines += _head("conflicts between sources, beyond rounding", find_conflicts(known))
    unread = find_unread()["period"]
    listed = f"{', '.join(unread)}; to add them: iapt fetch" if len(unread) else "none"
    lines += ["", f"listed in publications.csv, not in the data: {listed}"]
    return "\n".join(lines + _head("reports out of date", stale))


def _cover(known: pd.DataFrame, frequency: str) -> str:
    held = known.loc[known["frequency"] == frequency, "period"]
    return f"{periods.write(held.min())} to {periods.write(held.max())}" if len(held) else ""


def _head(title: str, found: list[str]) -> list[str]:
    more = [f"  and {len(found) - SHOWN} more"] if len(found) > SHOWN else []
    return ["", f"{title}: {len(found) or 'none'}", *(f"  {line}" for line in found[:SHOWN]), *more]


def find_gaps(known: pd.DataFrame) -> list[str]:
    """The runs of missing periods of each measure, the longest first."""
    gaps = []
    for (frequency, measure), held in known.groupby(["frequency", "measure"])["period"]:
        inside = pd.period_range(held.min(), held.max(), freq=periods.FREQUENCIES[frequency])
        missing = inside[~inside.isin(held)]
        for _, run in missing.to_series().groupby(missing.map(lambda period: period.ordinal) - np.arange(len(missing))):
            first, last = periods.write(run.iloc[0]), periods.write(run.iloc[-1])
            length = f"{len(run)} {frequency}{'s' * (len(run) > 1)}"
            gaps.append((len(run), f"{data.label(measure)}: {first} to {last}, {length}"))
    return [text for _, text in sorted(gaps, key=lambda gap: -gap[0])]


def find_conflicts(known: pd.DataFrame) -> list[str]:
    """The figures that sources give differently, by more than they are rounded, the largest difference first."""
    kinds = data.load()["measures"].set_index("measure")["kind"]
    exact = known["measure"].map(kinds).isin(["rate", "average"]).map({True: 0.1, False: 1.0})
    known = known.assign(
        reach=known["rounded_to"].astype(float).fillna(exact) / 2, when=known["period"].map(periods.write)
    )
    conflicts = []
    for (_, period, measure), group in known.groupby(["frequency", "when", "measure"]):
        if len(group) > 1 and (group["value"] - group["reach"]).max() > (group["value"] + group["reach"]).min() + 1e-9:
            group = group.sort_values("available", ascending=False)
            size = 100 * (group["value"].max() / max(group["value"].min(), 1e-9) - 1)
            values = " against ".join(f"{row.value:,.10g} ({row.source})" for row in group.itertuples())
            conflicts.append((size, f"{data.label(measure)} {period}, {size:.2g}%: {values}"))
    return [text for _, text in sorted(conflicts, key=lambda conflict: -conflict[0])]
