"""Where the figures of a report come from."""

import pandas as pd

import iapt
from iapt import data
from iapt.show import words


def show(measures: list[str], as_of: str, *tables: str) -> words.Table:
    """The sources of these measures that were known on a day, with the number of figures from each.

    Of the figures for England, or of those in the `tables` named.
    """
    known = pd.concat([data.known(as_of, table) for table in tables or ("england",)])
    counts = known[known["measure"].isin(measures)]["source"].value_counts()
    cards = data.load()["sources"].set_index("id").loc[sorted(counts.index)]
    table = pd.DataFrame(
        {
            "Source": cards.index,
            "Title": cards["title"],
            "Publisher": cards["publisher"],
            "Published": [row.published or f"{row.lag_days:.0f} days after the period" for row in cards.itertuples()],
            "Figures": counts[cards.index].astype(str),
            "Licence": cards["licence"],
        }
    )
    return words.Table(
        "sources", f"Provenance: {words.vintage(as_of)}; as_of = {as_of}; iapt {iapt.__version__}", table
    )
