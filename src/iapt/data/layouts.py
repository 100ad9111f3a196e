"""How NHS publications are laid out: the table `layouts`, as questions that can be asked of it."""

import re
from dataclasses import dataclass

from iapt import data


class Refusal(ValueError):
    """A file that cannot be taken: where the fault is, what was expected there and what was found."""

    def __init__(self, where: str, expected: str, found: str) -> None:
        super().__init__(f"{where}: expected {expected}; found {found}")


@dataclass(frozen=True)
class Layout:
    """What is known of one kind of publication. `names` holds each name of an item with its first and last period."""

    kind: str
    names: dict[str, dict[str, tuple[str, str]]]
    uses: dict[str, str]

    @property
    def wide(self) -> bool:
        """Whether measures are columns; in the long form each has rows of its own."""
        return self.text("form") == "wide"

    def text(self, item: str) -> str:
        """The first wording of an item, such as the title of the publication."""
        return next(iter(self.names[item]))

    def items(self, *uses: str) -> list[str]:
        """The items of some uses, in the order of the table."""
        return [item for item, use in self.uses.items() if use in uses]

    def wordings(self, *uses: str) -> dict[str, str]:
        """The item that each wording stands for, by the folded wording."""
        return {fold(name): item for item in self.items(*uses) for name in self.names[item]}

    def columns(self, header: list[str]) -> dict[str, str]:
        """The column of the header that holds each item; items without one are left out."""
        folded = {fold(name): name for name in reversed(header)}
        items = self.items("column", "figure", "check") if self.wide else self.items("column")
        found = {item: [folded[fold(name)] for name in self.names[item] if fold(name) in folded] for item in items}
        return {item: names[0] for item, names in found.items() if names}

    def lacking(self, header: list[str]) -> list[str]:
        """The columns without which a file is no publication of this kind and that a header does not have.

        In the wide form these are all columns of measures where more than half of them are absent.
        """
        found, figures = self.columns(header), self.items("figure", "check") if self.wide else []
        absent = [item for item in figures if item not in found]
        needed = [item for item in self.items("column") if item not in found]
        return [self.text(item) for item in needed + (absent if 2 * len(absent) > len(figures) else [])]

    def knows(self, item: str, period: str, name: str | None = None) -> bool:
        """Whether an item was published in a period, under this name where one is given."""
        return any(
            since <= period <= (until or "9999")
            for known, (since, until) in self.names[item].items()
            if name is None or fold(known) == fold(name)
        )


def fold(name: str) -> str:
    """A name as it is compared: without case, spaces, underscores and byte order mark."""
    return re.sub(r"[\s_\ufeff]", "", name).lower()


def load_layouts() -> list[Layout]:
    """The layouts of all kinds of publications."""
    layouts: dict[str, Layout] = {}
    for row in data.load()["layouts"].itertuples():
        layout = layouts.setdefault(row.publication, Layout(row.publication, {}, {}))
        layout.names.setdefault(row.item, {})[row.name] = (row.since, row.until)
        layout.uses[row.item] = row.use
    return list(layouts.values())


def recognise(name: str, header: list[str]) -> Layout:
    """The layout that a header belongs to. Raises Refusal where it is none of them."""
    found = lambda layout: sum(item in layout.columns(header) for item in layout.items("column"))
    layout = max(load_layouts(), key=found)
    if lacking := layout.lacking(header):
        shown = ", ".join(header)
        raise Refusal(
            f"{name}, row 1",
            f"the columns of the {layout.kind} publication, among them {', '.join(lacking)}",
            shown[:200] + ("…" if len(shown) > 200 else ""),
        )
    return layout
