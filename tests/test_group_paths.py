"""Paths by group against lavaan (reference/groups.R), planted differences, and hypotheses about groups."""

from __future__ import annotations

import functools

import numpy as np
import pandas as pd
import pytest
from schools import ITEMS, pupils, study, table

from cxlib import sem
from cxlib.core import theme
from cxlib.sem import invariance
from cxlib.stages.groups import groups
from cxlib.stages.groups import paths as group_paths
from cxlib.study.schema import load

PATHS = {"a": "visual -> textual", "b": "textual -> speed", "c": "visual -> speed"}
INDIRECT = ("visual -> speed", "indirect")


@functools.cache
def structures(estimator="ML", column="school"):
    """Grant-White first, as the reference has it, and nothing freed."""
    declared = study(
        school={
            "kind": "category",
            "group": True,
            "levels": {"Grant-White": "Grant-White", "Pasteur": "Pasteur"},
        },
        age={"kind": "category", "group": True},
        grade={"kind": "category", "group": True},
    )
    compared = groups.compare(pupils(), declared, column)
    ladder = groups.ladder(compared, estimator=estimator)
    return group_paths.structures(
        groups.Ladder(compared, ladder.criterion, ladder.fits, ladder.fits, steps=ladder.steps)
    )


@pytest.mark.parametrize("estimator", ["ML", "MLR"])
def test_paths_of_every_group(estimator):
    expected = table("paths").query("estimator == @estimator and op == '~'")
    found = group_paths.group_paths(structures(estimator)).table
    found = found[found["kind"] == "direct"].set_index(["effect", "group"])
    assert len(found) == len(expected) == 6
    for row in expected.itertuples():
        mine = found.loc[(f"{row.rhs} -> {row.lhs}", ("Grant-White", "Pasteur")[row.group - 1])]
        for column in ("est", "se", "p", "std"):
            assert mine[column] == pytest.approx(getattr(row, column), rel=1e-5, abs=1e-9), (
                row,
                column,
            )


@pytest.mark.parametrize("estimator", ["ML", "MLR"])
def test_differences_of_paths(estimator):
    """Wald, likelihood ratio (scaled with MLR) and the difference itself."""
    tests, paths = (
        table("path_tests").query("estimator == @estimator").set_index("path"),
        table("paths").query("estimator == @estimator"),
    )
    defined = paths[paths["op"] == ":="].set_index("lhs")
    found = group_paths.group_differences(structures(estimator)).table.set_index(["effect", "kind"])
    for letter, effect in PATHS.items():
        mine = found.loc[(effect, "direct")]
        for column in ("wald", "p", "lr_chisq", "lr_p"):
            assert mine[column] == pytest.approx(tests.loc[letter, column], rel=1e-5), (
                letter,
                column,
            )
        assert mine["est"] == pytest.approx(defined.loc["d" + letter, "est"], rel=1e-6)
        assert mine["se"] == pytest.approx(defined.loc["d" + letter, "se"], rel=1e-6)
    assert found.loc[INDIRECT, "est"] == pytest.approx(defined.loc["di", "est"], rel=1e-6)
    assert found.loc[INDIRECT, "se"] == pytest.approx(defined.loc["di", "se"], rel=1e-6)
    assert found.loc[INDIRECT, "p"] == pytest.approx(defined.loc["di", "p"], rel=1e-5)
    assert np.isnan(found.loc[INDIRECT, "lr_p"])


def test_indirect_effects_of_every_group():
    defined = table("paths").query("estimator == 'ML' and op == ':='").set_index("lhs")
    found = group_paths.group_paths(structures()).table.set_index(["effect", "kind", "group"])
    for at, name in enumerate(("Grant-White", "Pasteur"), 1):
        for column in ("est", "se"):
            assert found.loc[(*INDIRECT, name), column] == pytest.approx(
                defined.loc[f"i{at}", column], rel=1e-6
            )


@pytest.mark.parametrize("path", PATHS.values())
def test_the_likelihood_ratio_is_that_of_a_new_fit(path):
    found = structures()
    start, end = path.split(" -> ")
    model = sem.parse(found.ladder.compared.study.syntax("main"), means=True)
    held = invariance.fit_level(
        groups.numbered(found.ladder.compared),
        model,
        groups.GROUP,
        ("loadings",),
        (),
        [(end, start)],
    )
    mine = (
        group_paths.group_differences(found)
        .table.set_index(["effect", "kind"])
        .loc[(path, "direct"), "lr_chisq"]
    )
    assert mine == pytest.approx(held.chisq - found.fit.chisq, abs=1e-9)


def test_holm_is_applied_to_paths_and_to_indirect_effects_apart():
    found = group_paths.group_differences(structures()).table
    direct = found[found["kind"] == "direct"]
    order = np.sort(direct["p"])
    assert direct["p_adjusted"].min() == pytest.approx(min(1, order[0] * 3))
    indirect = found[found["kind"] == "indirect"]
    assert len(indirect) == 1 and indirect["p_adjusted"].iloc[0] == indirect["p"].iloc[0]


def test_the_bootstrap_agrees_with_the_delta_method():
    found = group_paths.group_differences(structures(), 400, np.random.default_rng(1)).table
    same = group_paths.group_differences(structures(), 400, np.random.default_rng(1)).table
    pd.testing.assert_frame_equal(found, same)
    wide = (found["boot_high"] - found["boot_low"]) / (found["ci_high"] - found["ci_low"])
    assert ((wide > 0.8) & (wide < 1.7)).all() and (found["draws"] > 390).all()
    assert ((found["boot_low"] < found["est"]) & (found["est"] < found["boot_high"])).all()


def planted(gap, n=500, seed=1):
    """Two groups in which the path from visual to speed differs by `gap` (.6 in the first)."""
    rng, parts = np.random.default_rng(seed), []
    for at, name in enumerate(("first", "second")):
        visual = rng.normal(size=n)
        textual = 0.5 * visual + rng.normal(size=n) * 0.8
        speed = (0.6 - gap * at) * visual + 0.2 * textual + rng.normal(size=n) * 0.7
        eta = np.column_stack([visual, textual, speed])
        x = np.repeat(eta, 3, axis=1) + rng.normal(size=(n, 9)) * 0.6
        parts.append(
            pd.DataFrame(x, columns=[item for items in ITEMS.values() for item in items]).assign(
                g=name
            )
        )
    return pd.concat(parts, ignore_index=True)


BY = {
    "path": "speed ~ visual",
    "by": "g",
    "sign": "+",
    "en": "stronger in the first",
    "zh": "第一组更强",
}
TWO = {
    "g": {
        "kind": "category",
        "group": True,
        "levels": {
            "first": {"en": "first", "zh": "第一"},
            "second": {"en": "second", "zh": "第二"},
        },
    }
}


def test_a_planted_difference_is_found_and_only_that():
    data, declared = planted(0.4), study(**TWO)
    found = group_paths.group_differences(
        group_paths.structures(groups.ladder(groups.compare(data, declared, "g"))), 0
    )
    sure = found.table[found.table["p_adjusted"] < 0.05]
    assert sure["effect"].tolist() == ["visual -> speed"]
    assert sure["ci_low"].iloc[0] < 0.4 < sure["ci_high"].iloc[0]
    assert (
        "1 of 3 paths differs between the groups" in found.text["en"]
        and "visual ability → speed ability" in found.text["en"]
    )
    assert "能力visual → 能力speed" in found.text["zh"]


def test_hypotheses_about_groups():
    data, declared = (
        planted(0.4),
        study(
            {
                "H1": BY,
                "H2": BY | {"path": "textual ~ visual"},
                "H3": {"path": "speed ~ textual", "en": "", "zh": ""},
            },
            **TWO,
        ),
    )
    found = group_paths.hypothesis_tests(data, declared)
    assert list(found.table) == [
        "id",
        "est",
        "ci_low",
        "ci_high",
        "p",
        "n",
        "std",
        "test",
        "notebook",
        "note",
    ]
    assert found.table["id"].tolist() == ["H1", "H2"] and set(found.table["notebook"]) == {
        "08_groups"
    }
    first = found.table.iloc[0]
    assert first["ci_low"] < 0.4 < first["ci_high"] and first["p"] < 0.001 and first["n"] == 1000
    assert "first less second" in first["test"] and first["std"] > 0.2


def test_verdicts_read_the_table():
    from cxlib.stages import verdicts

    declared = study({"H1": BY, "H2": BY | {"path": "textual ~ visual"}}, **TWO)
    tested = group_paths.hypothesis_tests(planted(0.4), declared).table
    judged = verdicts.hypotheses(declared, {"hypothesis_tests": tested}).table.set_index("id")
    assert judged["verdict"].to_dict() == {"H1": "supported", "H2": "not supported"}


def test_hypotheses_by_groups_too_small_are_not_tested_and_say_why():
    from cxlib.stages import verdicts

    declared = study({"H1": BY}, **TWO)
    for language, why in (("en", "Fewer than two groups of 'g'"), ("zh", "不足两个")):
        found = group_paths.hypothesis_tests(planted(0.4, n=50), declared, language=language)
        assert (
            found.table["id"].tolist() == ["H1"]
            and found.table[["est", "p", "n"]].isna().all(axis=None)
            and found.n_used == 0
        )
        assert (
            found.warnings[0][language].startswith("H1")
            and found.table["note"].item() in found.warnings[0][language]
        )
        (judged,) = verdicts.hypotheses(
            declared, {"hypothesis_tests": found.table}, language
        ).table.itertuples()
        assert (
            judged.verdict == "not tested"
            and judged.note == found.table["note"].item()
            and why in judged.note
        )


def test_where_loadings_differ_paths_carry_a_warning_and_hypotheses_are_not_tested():
    data = planted(0.4)
    other = data["g"] == "second"
    data.loc[other, ["x1", "x4", "x7"]] *= 3
    data.loc[other, ["x2", "x5", "x8"]] *= 0.3
    found = group_paths.structures(groups.ladder(groups.compare(data, study(**TWO), "g")))
    said = "Loadings differ between the groups, even after the search"
    for result in (group_paths.group_paths(found), group_paths.group_differences(found)):
        assert said in result.warnings[0]["en"] and len(result.table)
    tested = group_paths.hypothesis_tests(data, study({"H1": BY}, **TWO))
    assert (
        tested.table["p"].isna().all()
        and said in tested.warnings[0]["en"]
        and said in tested.table["note"].item()
    )


def test_three_groups_have_a_joint_test_and_no_single_difference():
    rng = np.random.default_rng(8)
    data = pd.concat(
        [planted(0.0, 150, 3), planted(0.0, 75, 4).assign(g="third")], ignore_index=True
    )
    found = group_paths.structures(
        groups.ladder(groups.compare(data, study(g={"kind": "category", "group": True}), "g"))
    )
    result = group_paths.group_differences(found, 50, rng)
    assert (
        set(result.table["df"]) == {2}
        and result.table["est"].isna().all()
        and result.table["boot_p"].isna().all()
    )
    direct = result.table[result.table["kind"] == "direct"]
    assert direct["lr_chisq"].to_numpy() == pytest.approx(
        direct["wald"].to_numpy(), rel=0.15, abs=0.3
    )
    assert any("With 3 groups there is no single difference" in w["en"] for w in result.warnings)


def test_what_the_ladder_freed_stays_free():
    data = planted(0.0)
    data.loc[data["g"] == "second", "x2"] *= 0.4
    ladder = groups.ladder(groups.compare(data, study(**TWO), "g"), criterion="chisq")
    assert ("visual", "=~", "x2", 1) in ladder.freed
    found = group_paths.structures(ladder)
    loads = [found.fit.parameter("visual", "=~", "x2", g)["est"] for g in range(2)]
    assert loads[1] < 0.6 * loads[0]
    assert not (group_paths.group_differences(found).table["p_adjusted"] < 0.05).any()


def test_without_groups_the_results_are_empty_and_marked():
    ecsi = load("ecsi")
    found = group_paths.structures(
        groups.ladder(groups.compare(pd.DataFrame(1.0, range(5), list(ecsi.items)), ecsi))
    )
    paths, differences = (
        group_paths.group_paths(found),
        group_paths.group_differences(found, 10, np.random.default_rng(1)),
    )
    assert (
        list(paths.table) == group_paths.PATHS
        and list(differences.table) == group_paths.DIFFERENCES
    )
    assert (
        paths.table.empty and differences.table.empty and "no grouping column" in paths.text["en"]
    )
    assert group_paths.hypothesis_tests(pd.DataFrame(), ecsi).table.empty
    assert theme.render(group_paths.plot_paths(paths, differences, ecsi))[0].startswith(b"\x89PNG")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_forest(language):
    found = structures()
    picture = group_paths.plot_paths(
        group_paths.group_paths(found),
        group_paths.group_differences(found),
        found.ladder.compared.study,
        language=language,
    )
    assert "n = 301" in picture.text[language] and theme.render(picture)[0].startswith(b"\x89PNG")
    axes = picture.figure.axes[0]
    assert len(axes.get_yticks()) == 3
    assert sum(len(line.get_xdata()) == 1 for line in axes.lines) == 6
