"""The tables beside the R scripts in reference/: their first line names the versions that made them, the table begins below."""

from pathlib import Path

import pandas as pd

REFERENCE = Path(__file__).parent / "reference"


def r_table(name: str, **how) -> pd.DataFrame:
    """What an R script printed, or a data set beside it, read as pandas.read_csv does with these arguments."""
    return pd.read_csv(REFERENCE / f"{name}.csv", skiprows=1, **how)
