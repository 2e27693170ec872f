"""Group means and observed moderation against R (reference/groups.R), planted interactions, and what is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from schools import pupils, study, table

from cxlib.core import theme
from cxlib.stages.groups import groups, moderation
from cxlib.study.schema import load

AGE = {
    "age": {
        "kind": "category",
        "group": True,
        "levels": {k: {"en": f"age {k}", "zh": f"年龄{k}"} for k in "abc"},
    }
}
ROWS = table("moderation").set_index(["kind", "what"])
KINDS = [("HC3", ""), ("CR1", "agemo")]


def clusters():
    """R's clusters are the months 0 to 11."""
    return pupils().assign(agemo=pupils()["agemo"].astype(str))


@pytest.mark.parametrize(("kind", "cluster"), KINDS)
def test_an_interaction_of_two_numbers(kind, cluster):
    found = moderation.moderation(clusters(), study(cluster=cluster), "x1 ~ x4 * x2").table.iloc[0]
    expected = ROWS.loc[(kind, "number")]
    for column in ("est", "se", "p"):
        assert found[column] == pytest.approx(expected[column], rel=1e-9), column
    slopes = moderation.simple_slopes(
        clusters(), study(cluster=cluster), "x1 ~ x4 * x2"
    ).table.set_index("at")
    for at, name in ((-1, "-1 SD"), (0, "mean"), (1, "+1 SD")):
        assert slopes.loc[name, "slope"] == pytest.approx(
            ROWS.loc[(kind, f"slope {at}"), "est"], rel=1e-9
        )
        assert slopes.loc[name, "se"] == pytest.approx(
            ROWS.loc[(kind, f"slope {at}"), "se"], rel=1e-9
        )


@pytest.mark.parametrize(("kind", "cluster"), KINDS)
def test_an_interaction_with_a_category(kind, cluster):
    result = moderation.moderation(clusters(), study(cluster=cluster, **AGE), "x1 ~ x4 * age")
    found, expected = result.table.iloc[0], ROWS.loc[(kind, "category")]
    assert found["p"] == pytest.approx(expected["p"], rel=1e-9) and np.isnan(found["est"])
    assert f"= {expected['est']:.2f}" in found["test"]
    assert found["d_r2"] == pytest.approx(ROWS.loc[("lm", "gain"), "est"], rel=1e-9)
    assert any("several product terms" in w["en"] for w in result.warnings)
    slopes = moderation.simple_slopes(
        clusters(), study(cluster=cluster, **AGE), "x1 ~ x4 * age"
    ).table.set_index("at")
    assert list(slopes.index) == ["a", "b", "c"]
    assert slopes.loc["b", "slope"] == pytest.approx(ROWS.loc[(kind, "slope b"), "est"], rel=1e-9)
    assert slopes.loc["b", "se"] == pytest.approx(ROWS.loc[(kind, "slope b"), "se"], rel=1e-9)


def test_the_same_interaction_whichever_comes_first():
    declared = study(**AGE)
    one, other = (
        moderation.moderation(pupils(), declared, words).table.iloc[0]
        for words in ("x1 ~ x4 * age", "x1 ~ age * x4")
    )
    assert one["p"] == other["p"] and other["driver"] == "x4"


def test_a_flag_is_a_category_of_two():
    data = pupils()
    found = moderation.moderation(data, study(), "x1 ~ x4 * girl").table.iloc[0]
    slopes = moderation.simple_slopes(data, study(), "x1 ~ x4 * girl").table.set_index("at")[
        "slope"
    ]
    assert list(slopes.index) == ["0", "1"]
    assert found["est"] == pytest.approx(slopes["1"] - slopes["0"], rel=1e-12)
    for level in (0, 1):
        own = data[data["girl"] == level]
        assert slopes[str(level)] == pytest.approx(np.polyfit(own["x4"], own["x1"], 1)[0], rel=1e-9)


def made(product, n=2000, seed=1):
    rng = np.random.default_rng(seed)
    x, w = rng.normal(5, 2, n), rng.normal(-3, 4, n)
    y = (
        1
        + 0.5 * (x - 5)
        + 0.2 * (w + 3)
        + product * (x - 5) * (w + 3)
        + rng.normal(size=n) * (1 + 0.3 * np.abs(x - 5))
    )
    return pd.DataFrame({"x1": y, "x2": x, "x3": w})


@pytest.mark.parametrize("product", [0.0, 0.1])
def test_a_planted_interaction_is_found_and_none_invented(product):
    declared = study(
        {"H1": {"of": "x1 ~ x2 * x3", "kind": "interaction", "en": "moderates", "zh": "调节"}}
    )
    result = moderation.moderation(made(product), declared)
    found = result.table.iloc[0]
    assert found["id"] == "H1" and found["notebook"] == "08_groups"
    assert abs(found["est"] - product) < 4 * found["se"]
    assert (found["p_adjusted"] < 0.05) == (product > 0)
    assert result.text["en"].startswith(
        "1 of 1 interaction is clear" if product else "0 of 1 interaction is clear"
    )


def test_units_do_not_change_the_test():
    one, other = (
        moderation.moderation(
            made(0.1).assign(x2=lambda d, k=k: d["x2"] * k + 7), study(), "x1 ~ x2 * x3"
        ).table.iloc[0]
        for k in (1, -60)
    )
    assert one["p"] == pytest.approx(other["p"], rel=1e-6) and one["est"] == pytest.approx(
        -60 * other["est"], rel=1e-9
    )
    assert one["std"] == pytest.approx(-other["std"], rel=1e-9)


def test_hypotheses_may_be_of_a_part_of_the_respondents():
    declared = study(
        {
            "H1": {
                "of": "x1 ~ x4 * x2",
                "kind": "interaction",
                "where": "school == 'Pasteur'",
                "en": "",
                "zh": "",
            }
        }
    )
    assert moderation.moderation(pupils(), declared).table["n"].tolist() == [156]


def test_missing_values_and_small_levels_are_left_out():
    data = pupils()
    data.loc[:9, "x4"] = np.nan
    data.loc[data.index[-5:], "age"] = "d"
    result = moderation.moderation(data, study(**AGE), "x1 ~ x4 * age")
    assert result.table["n"].iloc[0] == 301 - 15
    assert any(
        "d have fewer than 20 respondents and were left out" in w["en"] for w in result.warnings
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("x1 + x4 * x2", "cannot be read. Write 'outcome ~ driver \\* moderator'"),
        ("x1 ~ x4 * what", "'what' is not a score, construct or column"),
        ("x1 ~ school * age", "need.* an outcome and a driver that are numbers"),
    ],
)
def test_what_is_refused(words, said):
    with pytest.raises(ValueError, match=said):
        moderation.moderation(pupils(), study(**AGE), words)


def test_scores_are_rescaled_to_0_to_100():
    data = pupils()
    assert moderation.variable(data, study(), "visual100").to_numpy() == pytest.approx(
        data[["x1", "x2", "x3"]].mean(axis=1).to_numpy() * 10
    )
    assert moderation.variable(data, study(), "x4_100").to_numpy() == pytest.approx(
        data["x4"].to_numpy() * 10
    )
    both = (data[["x1", "x2", "x3"]].mean(axis=1) + data[["x4", "x5", "x6"]].mean(axis=1)) * 5
    assert moderation.variable(data, study(), "both100").to_numpy() == pytest.approx(
        both.to_numpy()
    )
    assert moderation.variable(data, study(), "visual").to_numpy() == pytest.approx(
        data[["x1", "x2", "x3"]].mean(axis=1).to_numpy()
    )


def test_differences_between_the_levels_of_a_column():
    declared = study(
        {"H1": {"of": "x4 by age", "kind": "differences", "sign": "<>", "en": "", "zh": ""}}, **AGE
    )
    found = moderation.differences(pupils(), declared).table.iloc[0]
    expected = ROWS.loc[("welch", "x4 by age")]
    assert found["f"] == pytest.approx(expected["est"], rel=1e-9) and found[
        "df_error"
    ] == pytest.approx(expected["se"], rel=1e-9)
    assert found["p"] == pytest.approx(expected["p"], rel=1e-9)


def single(items):
    """A study whose constructs are single items, so that their means are the items."""
    declared = study(**AGE)
    made = {
        code: declared.constructs[code].model_copy(
            update={"items": {item: declared.constructs[code].items[item]}}
        )
        for code, item in items.items()
    }
    return declared.model_copy(
        update={
            "constructs": made,
            "models": {"main": " ~ ".join(made) if len(made) > 1 else f"{next(iter(made))} ~ age"},
        }
    )


def test_two_groups_by_welch_and_hedges():
    expected = table("group_means").iloc[0]
    found = moderation.mean_tests(
        groups.compare(pupils(), single({"visual": "x1", "textual": "x4"}), "school")
    ).table.iloc[0]
    assert (found["group_a"], found["group_b"]) == ("Pasteur", "Grant-White")
    for mine, theirs, sign in (
        ("difference", "difference", -1),
        ("t", "t", -1),
        ("df", "df", 1),
        ("p", "p", 1),
    ):
        assert found[mine] == pytest.approx(sign * expected[theirs], rel=1e-8), mine
    assert found["hedges_g"] == pytest.approx(-expected["d"] * expected["j"], rel=1e-4)
    assert found["g_low"] < found["hedges_g"] < found["g_high"]


def test_three_groups_by_games_and_howell():
    expected = table("group_means").iloc[1:]
    found = moderation.mean_tests(
        groups.compare(pupils(), single({"visual": "x1", "textual": "x4"}), "age")
    ).table
    found = found[found["construct"] == "textual"].set_index(["group_a", "group_b"])
    for row in expected.itertuples():
        for column in ("difference", "t", "df", "p"):
            assert found.loc[(row.a, row.b), column] == pytest.approx(
                getattr(row, column), rel=1e-6
            ), (row, column)


def test_group_means_and_their_intervals():
    data = pupils()
    result = moderation.group_means(groups.compare(data, study(), "school"))
    own = data.loc[data["school"] == "Pasteur", ["x1", "x2", "x3"]].mean(axis=1)
    found = result.table.set_index(["construct", "group"]).loc[("visual", "Pasteur")]
    assert (
        found["mean"] == pytest.approx(own.mean())
        and found["sd"] == pytest.approx(own.std())
        and found["n"] == 156
    )
    assert found["ci_high"] - found["mean"] == pytest.approx(
        1.975386 * own.std() / np.sqrt(156), rel=1e-5
    )
    assert "The groups lie furthest apart on textual ability: Grant-White" in result.text["en"]


def test_small_groups_are_compared_by_means():
    data = pupils()
    data.loc[data.index[:60], "age"] = "small"
    declared = study(age={"kind": "category", "group": True})
    compared = groups.compare(data, declared, "age")
    assert not compared.large or "small" not in compared.large
    assert "small" in set(moderation.group_means(compared).table["group"])


def test_without_groups_or_interactions_the_results_are_empty_and_marked():
    ecsi = load("ecsi")
    data = pd.DataFrame(1.0, range(5), list(ecsi.items))
    compared = groups.compare(data, ecsi)
    for result, columns in (
        (moderation.group_means(compared), moderation.GROUP_MEANS),
        (moderation.mean_tests(compared), moderation.MEAN_TESTS),
        (moderation.moderation(data, ecsi), moderation.MODERATION),
        (moderation.simple_slopes(data, ecsi), moderation.SLOPES),
    ):
        assert (
            result.table.empty and list(result.table) == columns and result.text in result.warnings
        )
    assert theme.render(moderation.plot_slopes(moderation.simple_slopes(data, ecsi), ecsi))[
        0
    ].startswith(b"\x89PNG")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_picture_of_slopes(language):
    slopes = moderation.simple_slopes(
        pupils(), study(**AGE), "x1 ~ x4 * age; x1 ~ x4 * x2; x7 ~ x4 * girl"
    )
    picture = moderation.plot_slopes(slopes, study(**AGE), language=language)
    assert "301" in picture.text[language] and theme.render(picture)[0].startswith(b"\x89PNG")
    assert sum(axes.axison for axes in picture.figure.axes) == 3
