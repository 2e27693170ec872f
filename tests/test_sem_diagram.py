"""The diagrams: nothing overlaps, arrows keep clear of constructs, the caption tells the truth."""

from __future__ import annotations

import functools
import itertools
import re

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from cxlib.core import theme
from cxlib.core.result import Picture
from cxlib.core.words import languages
from cxlib.diagram.drawing import plot_conceptual, plot_diagram
from cxlib.study.schema import load

CASES = [
    ("ecsi", "main", {}),
    ("ecsi", "ecsi", {}),
    ("vas", "main", {}),
    ("vas", "V2", {}),
    ("ecsi", "main", {"full": True}),
    ("ecsi", "ecsi", {"full": True}),
    ("vas", "main", {"full": True}),
    ("vas", "V2", {"full": True}),
    ("vas", "main", {"marks": "interval"}),
]
LANGUAGES = languages()


@functools.cache
def study(name: str):
    return load(name)


def simulated(name: str, model: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A parameter table and R² of the shape a fit would give, with numbers drawn at random."""
    rng = np.random.default_rng(7)
    relations = [
        (found[1], found[2], term.split("*")[-1].strip())
        for line in study(name).syntax(model).splitlines()
        if (found := re.fullmatch(r"\s*([\w.]+)\s*(=~|~~|~)\s*(.+)", line))
        for term in found[3].split("+")
    ]
    outcomes = list(dict.fromkeys(lhs for lhs, op, _ in relations if op == "~"))
    below = {rhs for _, op, rhs in relations if op == "=~"}
    exogenous = [
        c for c in study(name).model_constructs(model) if c not in outcomes and c not in below
    ]
    relations += [(a, "~~", b) for a, b in itertools.combinations(exogenous, 2)]
    relations += [(c, "~~", c) for c in study(name).model_constructs(model)]
    rows = []
    for lhs, op, rhs in relations:
        std = {
            "=~": rng.uniform(0.6, 0.95),
            "~~": rng.uniform(0.2, 0.6),
            "~": rng.normal(0.2, 0.25),
        }[op]
        est, se = 1.3 * std, 0.11
        z = abs(est / se)
        rows.append(
            (
                lhs,
                op,
                rhs,
                est,
                se,
                est / se,
                float(np.exp(-0.717 * z - 0.416 * z**2)),
                std - 0.17,
                std + 0.16,
                std,
            )
        )
    columns = ["lhs", "op", "rhs", "est", "se", "z", "p", "std_low", "std_high", "std"]
    r2 = pd.DataFrame({"construct": outcomes, "r2": rng.uniform(0.2, 0.7, len(outcomes))})
    return pd.DataFrame(rows, columns=columns), r2


def structural(*paths: tuple[str, str, float, float], covariances: tuple = ()) -> pd.DataFrame:
    """A parameter table from (predictor, outcome, std, p) and (a, b, correlation)."""
    rows = [(b, "~", a, p, std - 0.1, std + 0.12, std) for a, b, std, p in paths]
    rows += [(a, "~~", b, 0.001, r - 0.1, r + 0.1, r) for a, b, r in covariances]
    return pd.DataFrame(rows, columns=["lhs", "op", "rhs", "p", "std_low", "std_high", "std"])


def artists(picture: Picture, *kinds: str) -> dict[str, object]:
    """What was drawn, by its id."""
    return {
        child.get_gid(): child
        for child in picture.figure.axes[0].get_children()
        if str(child.get_gid()).split(":", maxsplit=1)[0] in kinds
    }


def boxes(picture: Picture, *kinds: str) -> dict[str, np.ndarray]:
    """Bounding boxes in pixels, as a renderer draws them: left, bottom, right, top."""
    with mpl.rc_context(theme.theme(picture.language)):
        renderer = picture.figure.canvas.get_renderer()
        return {
            gid: artist.get_window_extent(renderer).extents
            for gid, artist in artists(picture, *kinds).items()
        }


def overlapping(found: dict[str, np.ndarray]) -> list[tuple[str, str]]:
    return [
        (a, b)
        for (a, p), (b, q) in itertools.combinations(found.items(), 2)
        if (p[:2] < q[2:]).all() and (q[:2] < p[2:]).all()
    ]


def texts(picture: Picture, *kinds: str) -> dict[str, str]:
    return {gid: artist.get_text() for gid, artist in artists(picture, *kinds).items()}


@pytest.fixture(
    scope="module",
    params=[(case, language) for case in CASES for language in LANGUAGES],
    ids=lambda p: "-".join([*p[0][:2], *p[0][2], p[1]]),
)
def drawn(request):
    (name, model, options), language = request.param
    parameters, r2 = simulated(name, model)
    return plot_diagram(parameters, study(name), r2, n=250, language=language, **options)


def test_no_text_and_no_node_overlaps_another(drawn):
    assert overlapping(boxes(drawn, "node", "label")) == []


def test_names_and_r2_stay_in_their_ellipse(drawn):
    nodes, inner = boxes(drawn, "node"), boxes(drawn, "name", "note")
    assert overlapping(inner) == []
    for gid, box in inner.items():
        node = nodes[f"node:{gid.split(':')[1]}"]
        corners = np.array(list(itertools.product(box[[0, 2]], box[[1, 3]])))
        off_centre = (corners - (node[:2] + node[2:]) / 2) / ((node[2:] - node[:2]) / 2)
        round_ = type(artists(drawn, "node")[f"node:{gid.split(':')[1]}"]).__name__ == "Ellipse"
        assert (np.hypot(*off_centre.T) if round_ else np.abs(off_centre)).max() < 1, gid


def test_no_arrow_passes_behind_a_construct_or_an_item(drawn):
    nodes = {gid.split(":")[1]: box for gid, box in boxes(drawn, "node").items()}
    for gid, line in artists(drawn, "arrow").items():
        ends = gid.split(":")[1].split(">")
        points = line.get_transform().transform(line.get_xydata())
        for code, box in nodes.items():
            assert (
                code in ends or not ((points > box[:2]) & (points < box[2:])).all(axis=1).any()
            ), (gid, code)


def test_everything_is_on_the_page(drawn):
    width, height = drawn.figure.get_size_inches() * drawn.figure.dpi
    for gid, (x0, y0, x1, y1) in boxes(drawn, "node", "label", "key").items():
        assert x0 >= 0 and y0 >= 0 and x1 <= width and y1 <= height, gid


def test_printed_on_a_page_no_letter_is_below_six_points(drawn):
    """A4 with margins of 20 mm and room for a caption, upright or turned."""
    sizes = [
        artist.get_fontsize() for artist in artists(drawn, "name", "note", "label", "key").values()
    ]
    width, height = drawn.figure.get_size_inches() * 25.4
    assert (
        min(sizes) * min(1, max(min(170 / width, 247 / height), min(257 / width, 165 / height)))
        >= 6
    )


def test_long_chains_are_folded_to_fit():
    chain = ["IMAG", "CUEX", "PERQ", "PERV", "CUSA", "COMP", "CUSL"]
    picture = plot_diagram(
        structural(*((a, b, 0.5, 0.001) for a, b in itertools.pairwise(chain))), study("ecsi")
    )
    found = boxes(picture, "node")
    assert len({round(box[0]) for box in found.values()}) == 4
    assert overlapping(found) == []


def test_labels_stand_on_their_own_arrow(drawn):
    for gid, box in boxes(drawn, "label").items():
        line = artists(drawn, "arrow")[gid.replace("label", "arrow")]
        points = line.get_transform().transform(line.get_xydata())
        assert ((points > box[:2]) & (points < box[2:])).all(axis=1).any(), gid


def test_every_path_loading_and_construct_of_the_full_model_is_drawn():
    parameters, _ = simulated("vas", "V2")
    picture = plot_diagram(parameters, study("vas"), full=True)
    one = parameters[parameters["op"] == "~"]
    many = parameters[parameters["op"] == "=~"]
    expected = {
        f"arrow:{a}>{b}"
        for a, b in [
            *zip(one["rhs"], one["lhs"], strict=True),
            *zip(many["lhs"], many["rhs"], strict=True),
        ]
    }
    assert set(artists(picture, "arrow")) == expected
    codes = {*one["lhs"], *one["rhs"], *many["lhs"], *many["rhs"]}
    assert set(artists(picture, "node")) == {f"node:{code}" for code in codes}


def test_second_order_loadings_are_absent_from_the_structure():
    picture = plot_diagram(simulated("vas", "V2")[0], study("vas"))
    assert not {"node:TS", "node:CV", "node:PC", "node:AS"} & set(artists(picture, "node"))


def test_labels_widths_and_dashes_follow_the_numbers():
    table = structural(
        ("PERQ", "PERV", 0.6, 0.0004), ("PERV", "CUSA", -0.3, 0.02), ("PERQ", "CUSA", -0.004, 0.9)
    )
    picture = plot_diagram(
        table, study("ecsi"), pd.DataFrame({"construct": ["PERV", "CUSA"], "r2": [0.36, np.nan]})
    )
    assert texts(picture, "label") == {
        "label:PERQ>PERV": "0.60***",
        "label:PERV>CUSA": "−0.30*",
        "label:PERQ>CUSA": "0.00",
    }
    assert texts(picture, "note") == {"note:PERV": "R² = 0.36"}
    lines = artists(picture, "arrow")
    assert (
        lines["arrow:PERQ>PERV"].get_linewidth()
        > lines["arrow:PERV>CUSA"].get_linewidth()
        > lines["arrow:PERQ>CUSA"].get_linewidth()
    )
    assert [
        lines[f"arrow:{a}"].get_linestyle() for a in ("PERQ>PERV", "PERV>CUSA", "PERQ>CUSA")
    ] == ["-", "-", "--"]


def test_intervals_are_those_of_the_standardised_paths():
    table = structural(("PERQ", "PERV", -0.3, 0.02))
    assert texts(plot_diagram(table, study("ecsi"), marks="interval"), "label") == {
        "label:PERQ>PERV": "−0.30\n[−0.40, −0.18]"
    }
    with pytest.raises(ValueError, match="lacks the columns std_low, std_high"):
        plot_diagram(table.drop(columns=["std_low", "std_high"]), study("ecsi"), marks="interval")


def test_up_to_three_covariances_are_drawn_more_are_told():
    exogenous = ["IMAG", "CUEX", "PERQ", "PERV"]
    paths = [(code, "CUSA", 0.3, 0.01) for code in exogenous]
    pairs = [(a, b, 0.2 + 0.1 * i) for i, (a, b) in enumerate(itertools.combinations(exogenous, 2))]
    few = plot_diagram(
        structural(*paths[:3], covariances=(pairs[0], pairs[1], pairs[3])), study("ecsi")
    )
    assert {gid for gid in artists(few, "arrow")} >= {
        "arrow:IMAG>CUEX",
        "arrow:IMAG>PERQ",
        "arrow:CUEX>PERQ",
    }
    assert overlapping(boxes(few, "node", "label")) == []
    many = plot_diagram(structural(*paths, covariances=tuple(pairs)), study("ecsi"))
    assert len(artists(many, "arrow")) == 4
    assert (
        "6 covariances (0.20 to 0.70)" in many.text["en"]
        and "6 个协方差（0.20 至 0.70）" in many.text["zh"]
    )


def test_a_circle_of_causes_is_drawn():
    table = structural(
        ("PERQ", "PERV", 0.6, 0.001), ("PERV", "CUSA", 0.3, 0.01), ("CUSA", "PERV", 0.2, 0.01)
    )
    picture = plot_diagram(table, study("ecsi"))
    assert len(artists(picture, "arrow")) == 3
    assert overlapping(boxes(picture, "node", "label")) == []


def test_a_measurement_model_can_be_drawn_full():
    parameters, _ = simulated("ecsi", "main")
    picture = plot_diagram(parameters[parameters["op"] == "=~"], study("ecsi"), full=True)
    assert overlapping(boxes(picture, "node", "label")) == []
    assert len(artists(picture, "arrow")) == 15


def test_an_observed_variable_is_a_box_and_a_latent_one_an_ellipse():
    loadings = pd.DataFrame(
        {"lhs": "PERV", "op": "=~", "rhs": ["PERV1", "PERV2"], "est": 1.0, "p": 0.0, "std": 0.8}
    )
    table = pd.concat([structural(("reply_h", "PERV", 0.3, 0.01)), loadings])
    kinds = {
        gid: type(artist).__name__
        for gid, artist in artists(plot_diagram(table, study("ecsi")), "node").items()
    }
    assert kinds == {"node:PERV": "Ellipse", "node:reply_h": "Rectangle"}


def test_the_same_table_gives_the_same_picture():
    parameters, r2 = simulated("vas", "main")
    first, second = (
        boxes(plot_diagram(parameters, study("vas"), r2), "node", "label") for _ in range(2)
    )
    assert first.keys() == second.keys() and all((first[gid] == second[gid]).all() for gid in first)


def test_the_caption_names_the_thickest_path_and_counts_the_weak():
    table = structural(
        ("PERQ", "PERV", 0.8, 0.001), ("PERV", "CUSA", 0.7, 0.2), ("PERQ", "CUSA", 0.3, 0.01)
    )
    text = plot_diagram(table, study("ecsi"), n=250).text
    assert "n = 250" in text["en"] and "n = 250" in text["zh"]
    assert "1 of 3 paths" in text["en"] and "3 条路径中有 1 条" in text["zh"]
    assert "from Perceived quality to Perceived value (0.80)" in text["en"]


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (lambda t: t.drop(columns="std"), {}, "lacks the columns std"),
        (lambda t: pd.concat([t, t]), {}, "occurs more than once"),
        (lambda t: t, {"marks": "bars"}, "Allowed: stars, interval"),
    ],
)
def test_what_cannot_be_drawn_is_refused_with_a_remedy(change, options, message):
    with pytest.raises(ValueError, match=message):
        plot_diagram(change(simulated("ecsi", "main")[0]), study("ecsi"), **options)


@pytest.mark.parametrize("language", LANGUAGES)
def test_without_a_path_the_picture_says_so(language):
    own, parameters = study("ecsi"), simulated("ecsi", "main")[0]
    scales = own.model_copy(update={"models": {"main": "PERQ ~~ CUSA"}, "hypotheses": {}})
    for picture in (
        plot_conceptual(scales, language=language),
        plot_diagram(parameters[parameters["op"] == "=~"], own, language=language),
    ):
        (said,) = picture.figure.axes[0].texts
        assert (
            said.get_text().replace("\n", " " if language == "en" else "") == picture.text[language]
        )
        assert "no path" in picture.text["en"] and "没有路径" in picture.text["zh"]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    ("name", "model"), [("ecsi", "main"), ("ecsi", "ecsi"), ("vas", "main"), ("vas", "V2")]
)
def test_the_conceptual_picture_does_not_overlap(name, model, language):
    assert (
        overlapping(boxes(plot_conceptual(study(name), model, language=language), "node", "label"))
        == []
    )


def test_the_conceptual_picture_names_each_hypothesis_at_its_path():
    picture = plot_conceptual(study("ecsi"), "main")
    assert texts(picture, "label") == {
        "label:PERQ>PERV": "H1 (+)",
        "label:PERV>CUSA": "H2 (+)",
        "label:PERQ>CUSA": "H3 (+)",
        "label:CUSA>CUSL": "H4 (+)",
    }
    assert "H5, H6, H7" in picture.text["en"] and "H5、H6、H7" in picture.text["zh"]
    with pytest.raises(ValueError, match="Allowed: main, ecsi"):
        plot_conceptual(study("ecsi"), "other")
