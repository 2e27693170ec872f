"""Stage 08: who is compared with whom, the ladder in words and tables, latent means, pictures."""

from __future__ import annotations

import functools

import numpy as np
import pandas as pd
import pytest
from schools import ITEMS, pupils, study, table

from cxlib.core import theme
from cxlib.sem.polychorics import merge_unchosen, unchosen
from cxlib.stages.groups import groups
from cxlib.study.schema import load

LANGUAGES = ("en", "zh")


def level(n, seed=0, **more):
    """Rows of one group, three constructs of three items."""
    rng = np.random.default_rng(seed)
    eta = rng.multivariate_normal(np.zeros(3), np.full((3, 3), 0.4) + 0.6 * np.eye(3), n)
    x = np.clip(
        np.round(5 + 1.5 * (np.repeat(eta, 3, axis=1) * 0.8 + rng.normal(size=(n, 9)) * 0.6)), 0, 10
    )
    return pd.DataFrame(x, columns=[item for items in ITEMS.values() for item in items]).assign(
        **more
    )


def groups_of(**sizes):
    return pd.concat(
        [level(n, seed, g=name) for seed, (name, n) in enumerate(sizes.items())], ignore_index=True
    )


G = {"g": {"kind": "category", "group": True, "name": {"en": "the group", "zh": "组别"}}}


def compared(data, **more):
    return groups.compare(data, study(**G), "g", **more)


def words(result):
    return " ".join([result.text["en"], *(w["en"] for w in result.warnings)])


@functools.cache
def schools(criterion="approximate", draws=0):
    return groups.ladder(
        groups.compare(pupils(), study(), "school"),
        criterion=criterion,
        n_permutations=draws,
        rng=np.random.default_rng(1),
    )


def test_the_rule_for_small_groups():
    found = compared(groups_of(big=150, enough=100, middling=60, tiny=12))
    assert dict(found.sizes[["group", "compared_by"]].to_numpy()) == {
        "big": "model and means",
        "enough": "model and means",
        "middling": "means",
        "tiny": "nothing",
    }
    assert found.groups == ("big", "enough", "middling") and found.large == ("big", "enough")
    said = words(groups.sizes(found))
    assert "Group 'tiny' has 12 respondents, fewer than 20: it is left out." in said
    assert "Group 'middling' has 60 complete answers; a model of 9 questions needs 100." in said


def test_a_model_needs_three_complete_answers_for_each_question():
    data = groups_of(a=150, b=150)
    data.loc[data.index[:60], "x1"] = np.nan
    found = compared(data)
    assert (
        found.sizes["used"].tolist() == [90, 150]
        and found.large == ()
        and found.groups == ("a", "b")
    )
    assert "Fewer than two groups" in found.why_not["en"] and "不足两个" in found.why_not["zh"]
    with_all = compared(data, missing="fiml")  # uses what the others answered too
    assert (
        with_all.sizes["used"].tolist() == [150, 150]
        and with_all.large == ("a", "b")
        and with_all.why_not is None
    )


def test_only_a_group_of_twelve_beside_one_large_one():
    ladder = groups.ladder(compared(groups_of(a=200, b=12)))
    assert groups.invariance(ladder).table.empty
    assert "Fewer than two groups of 'the group' are large enough for a model" in words(
        groups.invariance(ladder)
    )


def test_one_level():
    found = groups.invariance(groups.ladder(compared(groups_of(a=200))))
    assert found.table.empty and "'the group' has one level in these data (a)" in words(found)
    said = groups.sizes(compared(groups_of(a=200))).text
    assert said["en"].endswith("There are no two groups to compare.") and "没有两个组" in said["zh"]


def test_nine_levels():
    found = compared(groups_of(**{f"l{k}": 110 for k in range(9)}))
    assert found.large == () and len(found.groups) == 9
    assert (
        "'the group' has 9 groups; a ladder of more than 8 cannot be read. Merge levels"
        in words(groups.sizes(found))
    )


def test_missing_groups_are_counted():
    data = groups_of(a=150, b=150)
    data.loc[:9, "g"] = None
    found = groups.sizes(compared(data))
    assert "10 respondents did not say their 'the group'" in words(found) and found.n_used == 290


def test_an_answer_nobody_of_a_group_gave_is_told_and_harmless():
    data = groups_of(a=150, b=150)
    data.loc[data["g"] == "b", "x1"] = data.loc[data["g"] == "b", "x1"].clip(lower=4)
    found = compared(data)
    assert "nobody of a group gave an answer that others gave" in words(groups.sizes(found))
    assert len(groups.invariance(groups.ladder(found)).table) == 4


def test_a_question_all_of_a_group_answered_alike():
    data = groups_of(a=150, b=150)
    data.loc[data["g"] == "b", "x1"] = 5
    found = groups.invariance(groups.ladder(compared(data)))
    assert (
        found.table.empty
        and "The model cannot be fitted in every group: Column 'x1' is constant" in words(found)
    )


def test_unbalanced_groups_are_told():
    assert "6.0 times as large" in words(groups.sizes(compared(groups_of(a=600, b=100))))
    assert "times as large" not in words(groups.sizes(compared(groups_of(a=300, b=100))))


def test_an_unknown_column_or_model():
    with pytest.raises(
        ValueError,
        match=r"'shool' is not a grouping column.*Did you mean 'school'.*Allowed: school, girl",
    ):
        groups.compare(pupils(), study(), "shool")
    with pytest.raises(ValueError, match="no model 'other'"):
        groups.compare(pupils(), study(), model="other")


def test_the_first_grouping_column_is_the_default_and_levels_keep_their_declared_order():
    found = groups.compare(pupils(), study())
    assert found.column == "school" and found.large == ("Pasteur", "Grant-White")


def test_a_flag_is_a_group():
    found = groups.compare(pupils(), study(), "girl")
    assert (
        found.large == ("0", "1")
        and found.name("1")["en"] == "yes"
        and found.name("0")["zh"] == "否"
    )


def test_a_study_without_groups_leaves_empty_marked_results():
    ecsi = load("ecsi")
    found = groups.compare(pd.DataFrame(1.0, range(5), list(ecsi.items)), ecsi)
    ladder = groups.ladder(found)
    for result, columns in (
        (groups.sizes(found), ["grouping", "group", "n", "used", "compared_by"]),
        (groups.invariance(ladder), groups.INVARIANCE),
        (groups.partial_invariance(ladder), groups.PARTIAL),
        (groups.latent_means(ladder), groups.MEANS),
    ):
        assert result.table.empty and list(result.table) == columns and result.n_used == 0
        assert (
            "declares no grouping column" in result.text["en"]
            and "没有声明分组列" in result.text["zh"]
        )
        assert result.text in result.warnings
    for language in LANGUAGES:
        for picture in (
            groups.plot_ladder(groups.invariance(ladder), ecsi, language=language),
            groups.plot_means(groups.latent_means(ladder), ecsi, language=language),
        ):
            assert picture.text == found.why_not and theme.render(picture)[0].startswith(b"\x89PNG")


def test_the_table_of_invariance():
    found = groups.invariance(schools(draws=50))
    assert list(found.table)[:16] == [
        "grouping",
        "level",
        "chisq",
        "df",
        "cfi",
        "tli",
        "rmsea",
        "srmr",
        "aic",
        "bic",
        "d_chisq",
        "d_df",
        "d_p",
        "d_cfi",
        "d_rmsea",
        "holds",
    ]
    assert found.table["chisq"].round(3).tolist() == [115.851, 124.044, 164.103, 181.511]
    assert found.table["holds"].tolist() == [True, True, False, False]
    assert found.table["p_permutation"].iloc[2] == 1 / 51 and found.n_used == 301
    assert "Invariance holds up to metric: same loadings" in found.text["en"]
    assert "不变性成立到度量水平" in found.text["zh"]


def test_the_criterion_decides_what_holds():
    """Strict is rejected by Δχ² (p = .043) though CFI falls by less than .010, but scalar failed before."""
    loose, exact = (
        groups.invariance(schools(criterion)).table for criterion in ("approximate", "chisq")
    )
    assert loose["d_cfi"].iloc[3] > -0.010 and loose["d_p"].iloc[3] < 0.05
    assert exact["holds"].tolist() == loose["holds"].tolist() == [True, True, False, False]
    assert schools().held("strict") and not schools("chisq").held("strict")


def test_the_partial_search_in_words():
    found = groups.partial_invariance(schools())
    freed = found.table[found.table["freed"] != ""]
    assert freed["freed"].tolist() == ["x3 ~ 1", "x7 ~ 1"] and set(freed["group"]) == {
        "Grant-White"
    }
    assert (freed["p_adjusted"] < 0.05).all()
    assert freed["mi"].iloc[0] == pytest.approx(
        table("score").query("data == 'hs' and level == 'scalar' and lhs == 'x3'")["mi"].iloc[0],
        rel=1e-6,
    )
    assert found.text["en"].startswith(
        "Freed one at a time: x3 ~ 1 (Grant-White, −0.54); x7 ~ 1 (Grant-White, −0.45); every level"
    )
    assert "逐一释放约束" in found.text["zh"] and "格兰特" in found.text["zh"]


def test_latent_means_rest_on_what_is_equal():
    found = groups.latent_means(schools())
    assert list(found.table) == groups.MEANS
    assert set(found.table["reference"]) == {"Pasteur"} and set(found.table["level"]) == {
        "partial scalar"
    }
    textual = found.table.set_index("construct").loc["textual"]
    assert (
        textual["d"] > 0.4
        and textual["p_adjusted"] < 0.001
        and textual["d_low"] < textual["d"] < textual["d_high"]
    )
    assert "textual ability, Grant-White against Pasteur" in found.text["en"] and not found.warnings


def test_latent_means_of_a_scale_that_differs_carry_a_warning():
    data = groups_of(a=300, b=300)
    for item, shift in (("x1", 3), ("x2", 1), ("x3", -2)):
        data.loc[data["g"] == "b", item] += shift
    ladder = groups.ladder(compared(data))
    assert not ladder.held("scalar")
    assert "The scalar level does not hold" in words(groups.latent_means(ladder))
    assert "does not hold" in groups.partial_invariance(ladder).text["en"]


def test_what_exists_for_one_group_only_is_replaced_and_said():
    found = groups.ladder(
        groups.compare(pupils(), study()), estimator="MLR", missing="mi", n_permutations=10
    )
    assert (found.fits["metric"].estimator, found.fits["metric"].missing, found.permuted) == (
        "MLR",
        "fiml",
        None,
    )
    said = words(groups.invariance(found))
    assert (
        "Imputed data sets are not compared" in said
        and "no permutation test of incomplete rows" in said
    )


def test_ordinal_answers_climb_from_thresholds():
    data = groups_of(a=800, b=800, c=12)
    items = [item for construct in ITEMS.values() for item in construct]
    data[items] = np.digitize(data[items], [3.5, 4.5, 6.5])
    found = groups.ladder(compared(data), estimator="WLSMV", n_permutations=10)
    result = groups.invariance(found)
    assert result.table["level"].tolist() == [
        "configural",
        "thresholds",
        "metric",
        "scalar",
        "strict",
    ]
    assert result.table["holds"].all() and result.table[
        ["d_chisq", "d_cfi", "d_rmsea", "d_srmr"]
    ].iloc[1:].notna().all(axis=None)
    assert result.table["aic"].isna().all() and "no likelihood, so aic and bic are empty" in words(
        result
    )
    assert "no permutation test with WLSMV" in words(result) and "WLSMV" in str(result.method)
    means = groups.latent_means(found).table
    assert (
        set(means["level"]) == {"scalar"}
        and (means["d"].abs() < 4 * (means["d_high"] - means["d"]) / 1.96).all()
    )
    assert "every level then holds" in groups.partial_invariance(found).text["en"]
    for language in LANGUAGES:
        assert not overlapping(groups.plot_ladder(result, study(), language=language))


def test_ordinal_levels_that_fail_end_the_ladder():
    data = groups_of(a=400, b=400)
    items = [item for construct in ITEMS.values() for item in construct]
    other = data["g"] == "b"
    data[items] = np.digitize(data[items], [3.5, 4.5, 6.5])
    data.loc[other, "x4"] = np.digitize(level(400, 1)["x4"], [2.5, 5.5, 6.5])
    found = groups.ladder(compared(data), estimator="WLSMV", criterion="chisq")
    assert (
        "does not hold, and with WLSMV no single equality is tested"
        in groups.partial_invariance(found).text["en"]
    )
    assert (
        groups.latent_means(found).table.empty
        and "level does not hold" in groups.latent_means(found).text["en"]
    )


def test_an_answer_nobody_of_a_group_gave_stops_wlsmv_and_says_what_to_do():
    data = groups_of(a=150, b=150)
    items = [item for construct in ITEMS.values() for item in construct]
    data[items] = np.digitize(data[items], [3.5, 4.5, 6.5])
    data.loc[data["g"] == "b", "x1"] = data.loc[data["g"] == "b", "x1"].clip(lower=1)
    for missing in ("listwise", "pairwise"):
        found = groups.invariance(groups.ladder(compared(data), estimator="WLSMV", missing=missing))
        assert found.table.empty
        assert (
            "first 0 to x1 in group 'b'" in found.text["en"]
            and "merge_answers = True" in found.text["en"]
        )
        assert "“b”组在 x1 上无人选 0" in found.text["zh"] and "合并" in found.text["zh"]
    ladder = groups.ladder(compared(data), estimator="WLSMV", merge_answers=True)
    found = groups.invariance(ladder)
    assert len(
        found.table
    ) == 5 and "merged with their neighbours in all groups: x1 0 → 1." in words(found)
    by_hand = groups.invariance(
        groups.ladder(compared(data.assign(x1=data["x1"].clip(lower=1))), estimator="WLSMV")
    )
    pd.testing.assert_frame_equal(found.table, by_hand.table)


def test_answers_are_merged_towards_the_middle_until_none_lacks():
    parts = {
        "a": pd.DataFrame({"x": [1, 3, 4, 5, 6, 7.0], "y": [1, 2, 3, 1, 2, np.nan]}),
        "b": pd.DataFrame({"x": [2, 3, 4, 5, 6, 6.0], "y": [1, 2, 3, 1, 2, 3.0]}),
    }
    assert merge_unchosen(parts) == {"x": {1: 2, 7: 6}}
    assert (
        unchosen({name: part.replace(merge_unchosen(parts)) for name, part in parts.items()}) == []
    )


def test_a_robust_estimator_has_its_own_measures():
    ladder = groups.ladder(groups.compare(pupils(), study()), estimator="MLR")
    found = groups.invariance(ladder).table.set_index("level")
    expected = (
        table("difference")
        .query("data == 'hs' and estimator == 'MLR' and method == 'satorra.bentler.2001'")
        .set_index("level")
    )
    for name in expected.index:
        assert found.loc[name, "d_chisq"] == pytest.approx(expected.loc[name, "d_chisq"], rel=1e-6)
    assert found.loc["metric", "d_cfi"] == pytest.approx(
        found.loc["metric", "cfi_robust"] - found.loc["configural", "cfi_robust"]
    )


def test_the_configural_model_must_fit():
    rng = np.random.default_rng(2)
    data = groups_of(a=150, b=150)
    data.loc[data["g"] == "b", ["x1", "x4", "x7"]] += rng.normal(size=(150, 1)) * 3
    found = groups.invariance(groups.ladder(compared(data)))
    assert not found.table["holds"].any()
    assert (
        "Not even the configural model fits" in found.text["en"]
        and "构型模型都不拟合" in found.text["zh"]
    )


@pytest.mark.parametrize("language", LANGUAGES)
def test_pictures(language):
    ladder, means = groups.invariance(schools()), groups.latent_means(schools())
    for picture in (
        groups.plot_ladder(ladder, study(), language=language),
        groups.plot_means(means, study(), language=language),
    ):
        assert "n = 301" in picture.text[language] and theme.render(picture)[0].startswith(
            b"\x89PNG"
        )
        assert not overlapping(picture)


def overlapping(picture):
    """Pairs of words that lie on each other."""
    import matplotlib

    with matplotlib.rc_context(theme.theme(picture.language)):
        picture.figure.canvas.draw()
        shown = [
            text
            for text in picture.figure.findobj(matplotlib.text.Text)
            if text.get_text().strip() and text.get_visible()
        ]
        boxes = [(text.get_text(), text.get_window_extent()) for text in shown]
    return [
        (a, b)
        for i, (a, one) in enumerate(boxes)
        for b, other in boxes[i + 1 :]
        if one.overlaps(other) and a != b
    ]
