"""Small studies for the tests: a study file and its responses, written to a folder."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import yaml
from r_tables import r_table

from cxlib.study.schema import Study, load


def write(
    folder: Path,
    scales: dict[str, list[str]],
    rows: pd.DataFrame | None = None,
    reverse: tuple[str, ...] = (),
    **declared,
) -> Study:
    """A study of these scales (roles in the order of the walk), its answers in answers.csv."""
    roles = ("service", "perception", "satisfaction", "loyalty")
    constructs = {
        code: {
            "role": roles[min(place, 3)],
            "name": {"en": f"Construct {code}", "zh": f"构念{code}"},
            "items": {
                item: {"en": f"Wording of {item}.", "zh": f"题目 {item}。"}
                | ({"reverse": True} if item in reverse else {})
                for item in items
            },
        }
        for place, (code, items) in enumerate(scales.items())
    }
    codes = list(scales)
    study = {
        "id": "tiny",
        "title": "Tiny",
        "origin": "real",
        "source": "made up for the tests",
        "responses": {"file": "answers.csv"},
        "scale": [1, 7],
        "constructs": constructs,
        "models": {"main": f"{codes[-1]} {'~' if len(codes) > 1 else '~~'} {codes[0]}"},
    } | declared
    (folder / "study.yml").write_text(
        yaml.safe_dump(study, allow_unicode=True, sort_keys=False), "utf-8"
    )
    if rows is not None:
        rows.to_csv(folder / "answers.csv", index=False)
    return load(folder / "study.yml")


def reference(name: str) -> pd.DataFrame:
    """What reference/description.R wrote, or a data set beside it."""
    return r_table(f"{name}")
