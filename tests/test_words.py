"""Numbers and sentences in the style of British official statistics."""

import json

import pandas as pd
import pytest

from iapt import data, words


@pytest.mark.parametrize(
    "value, text", [(0, "0"), (999, "999"), (1257718, "1,257,718"), (1234.4, "1,234"), (-5000, "−5,000")]
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
        ("latest", "newest figures, to March 2026"),
    ],
)
def test_a_vintage_is_named_for_people(as_of, text):
    assert words.vintage(as_of) == text


def test_a_headline_is_one_paragraph_without_the_empty_sentences_its_answer_in_bold():
    assert words.headline("One.", "", "Two.").data == "**One.** Two."


# ---------------------------------------------------------------- tables

FRAME = pd.DataFrame({"Name": ["x", "y <b>z</b> & w"], "Value": [1_092_111, None], "Gap": [-5, 3]})


def test_a_table_is_html_text_and_csv_at_once():
    bundle = words.Table("years", "Years & values", FRAME)._repr_mimebundle_()
    assert set(bundle) == {"text/html", "text/plain", words.TABLE_MIME}
    assert bundle[words.TABLE_MIME] == {
        "name": "years",
        "title": "Years & values",
        "csv": 'Name,Value,Gap\nx,1092111,-5\ny <b>z</b> & w,,3\n',
    }
    assert json.dumps(bundle)
    assert bundle["text/plain"].startswith("Years & values\n") and "–" in bundle["text/plain"]


def test_a_table_escapes_what_it_shows_and_marks_what_is_missing():
    page = words.Table("years", 'Years & "values"', FRAME)._repr_mimebundle_()["text/html"]
    assert "<b>" not in page and "<td>y &lt;b&gt;z&lt;/b&gt; &amp; w</td>" in page
    assert "<td class=number>–</td>" in page and "<td class=number>1,092,111</td>" in page and "−5" in page
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


# ---------------------------------------------------------------- sentences


def test_a_target_is_reached_missed_or_still_to_come():
    starts = data.series("started_treatment", "year", "latest")
    targets = data.targets("started_treatment", "latest")
    assert words.against(targets.iloc[-1], starts) == "The target of 1.88 million in 2023/24 was missed by 622,282 (33%)."
    known = data.series("started_treatment", "year", "2020-05-01")
    goal = data.targets("started_treatment", "2020-05-01").iloc[-1]
    assert words.against(goal, known) == "The target of 1.88 million in 2023/24 needs 787,889 more a year (72% more)."


@pytest.mark.parametrize("now, before, text", [(95, 100, "5.0% fewer than before"), (120, 100, "20% more than before"), (100, 100, "level with before")])
def test_values_are_compared_in_words(now, before, text):
    assert words.compare(now, before, "before") == text


@pytest.mark.parametrize("probability, text", [(0.082, "8%"), (0.004, "under 1%"), (0.996, "over 99%"), (0.5, "50%")])
def test_a_chance_is_said_in_one_way(probability, text):
    assert words.chance(probability) == text


def test_a_table_shows_its_numbers_as_asked_and_keeps_them_in_its_csv():
    frame = pd.DataFrame({"share": [0.25]}, index=data.span("2018-19", "2018-19"))
    bundle = words.table(frame, "Shares", share="{:.0%}")._repr_mimebundle_()
    assert "25%" in bundle["text/html"] and "2018/19" in bundle["text/html"]
    assert bundle[words.TABLE_MIME]["csv"] == "Year,Share\n2018/19,0.25\n"
    with pytest.raises(ValueError, match="no column Shore; the columns are Year, Share"):
        words.table(frame, "Shares", shore="{:.0%}")


def test_numbers_below_a_thousand_have_as_many_decimals_in_a_column():
    frame = pd.DataFrame({"share": [58.0, 57.6, None], "count": [1200.0, 0.5, 3.0], "mixed": [80, 79.91, "yes"]})
    shown = words.table(frame, "t")._as_shown()
    assert shown["Share"].tolist() == ["58.0", "57.6", "–"] and shown["Count"].tolist() == ["1,200", "0.5", "3"]
    assert shown["Mixed"].tolist() == ["80", "79.91", "yes"]


def test_provenance_names_vintage_and_sources_with_their_addresses():
    table = words.provenance(["started_treatment"], "2020-05-01")
    assert "as known on 1 May 2020" in table.caption
    assert "<a href=" in table._repr_mimebundle_()["text/html"]
    assert table.frame[["Source", "Publisher", "Published", "Licence"]].ne("").all(axis=None)
    later = words.provenance(["started_treatment"], "latest")
    assert set(table.frame["Source"]) < set(later.frame["Source"])
