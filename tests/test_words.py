"""Numbers and sentences in the style of British official statistics."""

import json
import re

import pandas as pd
import pytest
from conftest import VINTAGES

from iapt.answers import access, claims, finishing, provenance, recovery
from iapt.models import trends
from iapt.show import words


@pytest.mark.parametrize(
    "value, text", [(0, "0"), (999, "999"), (1257718, "1,257,718"), (1234.4, "1,234"), (-5000, "-5,000")]
)
def test_counts_are_written_in_full(value, text):
    assert words.count(value) == text


@pytest.mark.parametrize(
    "value, text",
    [
        (1_257_718, "1.26 million"),
        (1_500_000, "1.5 million"),
        (2_000_000, "2 million"),
        (1_880_000, "1.88 million"),
        (999_999, "1.00 million"),
        (147_781, "147,800"),
        (994_999, "995,000"),
        (9_876, "9,876"),
        (900_000, "900,000"),
    ],
)
def test_large_counts_are_written_for_reading(value, text):
    assert words.million(value) == text


@pytest.mark.parametrize(
    "value, digits, text", [(8.06, 0, "8%"), (50.14, 1, "50.1%"), (-2.26, 1, "−2.3%"), (100, 0, "100%")]
)
def test_percentages_have_their_sign_and_a_true_minus(value, digits, text):
    assert words.percent(value, digits) == text


@pytest.mark.parametrize("value", [-0.001, -0.4])
def test_nothing_is_not_written_as_less_than_nothing(value):
    assert words.percent(value) == "0%"


@pytest.mark.parametrize(
    "items, text", [(["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c"), (iter("xy"), "x and y")]
)
def test_lists_are_joined_as_in_a_sentence(items, text):
    assert words.listed(items) == text


@pytest.mark.parametrize(
    "as_of, text",
    [
        ("2020-05-01", "as known on 1 May 2020"),
        ("2015-12-31", "as known on 31 December 2015"),
        ("latest", "newest figures, to September 2025"),
    ],
)
def test_a_vintage_is_named_for_people(as_of, text):
    assert words.vintage(as_of) == text


def test_sentences_are_one_paragraph_without_the_empty_ones():
    assert words.say("One.", "", "Two.").data == "One. Two."


# ---------------------------------------------------------------- tables

FRAME = pd.DataFrame({"Name": ["x", "y <b>z</b> & w"], "Value": ["1,092,111", None], "Gap": ["−5", "+3"]})


def test_a_table_is_html_text_and_csv_at_once():
    bundle = words.Table("years", "Years & values", FRAME)._repr_mimebundle_()
    assert set(bundle) == {"text/html", "text/plain", words.TABLE_MIME}
    assert bundle[words.TABLE_MIME] == {
        "name": "years",
        "title": "Years & values",
        "csv": 'Name,Value,Gap\nx,"1,092,111",−5\ny <b>z</b> & w,,+3\n',
    }
    assert json.dumps(bundle)
    assert bundle["text/plain"].startswith("Years & values\n") and "–" in bundle["text/plain"]


def test_a_table_escapes_what_it_shows_and_marks_what_is_missing():
    page = words.Table("years", 'Years & "values"', FRAME)._repr_mimebundle_()["text/html"]
    assert "<b>" not in page and "<td>y &lt;b&gt;z&lt;/b&gt; &amp; w</td>" in page
    assert "<td class=number>–</td>" in page
    assert (
        "<caption>Years &amp; &quot;values&quot;</caption>" in page
        and 'aria-label="Years &amp; &quot;values&quot;"' in page
    )


def test_a_table_names_its_columns_as_headers_and_aligns_only_numbers():
    page = words.Table("years", "Years", FRAME)._repr_mimebundle_()["text/html"]
    assert (
        "<th scope=col>Name</th>" in page
        and "<th class=number scope=col>Value</th>" in page
        and "<th class=number scope=col>Gap</th>" in page
    )


# ---------------------------------------------------------------- sentences at any vintage

SENTENCES = {
    f"{function.__module__.removeprefix('iapt.answers.')}.{function.__name__}": function
    for function in (
        access.answer,
        access.describe_growth,
        finishing.answer,
        finishing.describe_slowdown,
        finishing.describe_share,
        recovery.answer,
        recovery.describe_uncertainty,
        recovery.describe_screen,
        claims.answer,
    )
}
TABLES = {
    "access.list_outcomes": access.list_outcomes,
    "access.list_years": access.list_years,
    "claims.show": claims.show,
}
DAYS = (*VINTAGES, "2015-01-31", "2019-06-30")
FEW = ("2015-01-31", "2016-06-30", "latest")
"""Days for the claims, which take longer to check."""
CASES = [(name, day) for name in (*SENTENCES, *TABLES) for day in (FEW if name.startswith("claims.") else DAYS)]


def find_holes(text: str) -> list[str]:
    """Whatever a reader should never see: missing values, raw numbers, double spaces, sentences without an end."""
    return re.findall(r"\bnan\b|\bNaN\b|\bNaT\b|\bNone\b|\d+\.\d{4,}|\d{7,}|  |\.\.|--", text)


@pytest.mark.parametrize("name, day", [case for case in CASES if case[0] in SENTENCES])
def test_sentences_are_whole_at_any_vintage(name, day, monkeypatch):
    monkeypatch.setattr(trends, "false_signal_rate", lambda n: 90.0)
    text = SENTENCES[name](day).data
    assert find_holes(text) == []
    assert text.rstrip("*").endswith(".") and text.lstrip("*")[0].isalnum()
    assert text.count("**") % 2 == 0


@pytest.mark.parametrize("name, day", [case for case in CASES if case[0] in TABLES])
def test_tables_have_no_holes_at_any_vintage(name, day):
    frame = TABLES[name](day).frame
    assert len(frame) > 0
    assert [hole for text in frame.to_numpy().ravel() if pd.notna(text) for hole in find_holes(str(text))] == []


def test_a_hole_would_be_found():
    assert (
        find_holes("fell by nan%")
        and find_holes("a  b")
        and find_holes("1257718")
        and find_holes("0.12345")
        and find_holes("None of it.") == ["None"]
    )
    assert not find_holes("**1,257,718 referrals, 8.1% more.** In Q3 2019/20 it was −0.25.")


@pytest.mark.parametrize(
    "function, day, parts",
    [
        (
            access.answer,
            "latest",
            ["1.20 million", "2024/25", "1.88 million", "2023/24", "missed by 622,282 (33%)", "1,257,718"],
        ),
        (
            access.answer,
            "2020-05-01",
            ["1.09 million", "2018/19", "1.88 million in 2023/24", "787,889 more", "72% more, in 5 years"],
        ),
        (access.describe_growth, "2020-05-01", ["1,118,990 to 1,603,643", "by 43%", "887,452", "be 81%", "533,550"]),
        (finishing.answer, "2020-05-01", ["147,781", "Q3 2019/20", "8% more than", "grew by 21%"]),
        (finishing.describe_slowdown, "2020-05-01", ["2.4% a year", "Slowed, not stalled"]),
        (finishing.describe_share, "latest", ["37%", "2024/25", "56%"]),
        (recovery.answer, "2020-05-01", ["Q4 2016/17", "11"]),
    ],
)
def test_answers_hold_their_numbers(function, day, parts):
    text = function(day).data
    assert [part for part in parts if part not in text] == []


def test_provenance_names_vintage_parameters_sources_and_version():
    import iapt

    table = provenance.show(["started_treatment"], "2020-05-01")
    assert (
        "as known on 1 May 2020" in table.caption
        and "as_of = 2020-05-01" in table.caption
        and iapt.__version__ in table.caption
    )
    assert "nhs-monthly-activity" not in set(table.frame["Source"]) and "fingertips-90592" in set(table.frame["Source"])
    assert table.frame[["Title", "Publisher", "Published", "Licence"]].ne("").all(axis=None)
    assert "nhs-monthly-activity" in set(provenance.show(["started_treatment"], "latest").frame["Source"])
