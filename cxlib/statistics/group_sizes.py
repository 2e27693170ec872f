"""How large groups are, and what each of them is large enough for."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

SMALLEST, LATENT, PER_ITEM, MOST = 20, 100, 3, 8
"""A group below SMALLEST is left out.  A model needs LATENT complete answers in a group, and PER_ITEM for each question;
beyond MOST groups it is not read any more.  Conventions; power with 100 a group is low (Meade & Bauer 2007,
doi:10.1080/10705510701575461)."""
UNBALANCED = 4
"""A largest group so many times the smallest hides misfit in the small one (Yoon & Lai 2018, doi:10.1080/10705511.2017.1387859)."""


def needed(items: int) -> int:
    """How many answers a model of so many questions needs in a group."""
    return max(LATENT, PER_ITEM * items)


def group_sizes(
    groups: pd.Series, usable: pd.Series, declared: Sequence[str], enough: int
) -> pd.DataFrame:
    """Of every group that occurs: group, n, used, compared_by.

    Parameters
    ----------
    groups : Series of str
        Each row's group.
    usable : Series of bool
        Whether a model can use the row.
    declared : sequence of str
        The order of the groups; others follow sorted.
    enough : int
        Usable rows that a model needs.
    """
    counts, used = groups.value_counts(), groups[usable].value_counts()
    present = [
        *(level for level in declared if level in counts.index),
        *sorted(set(counts.index) - set(declared)),
    ]
    sizes = [int(counts[level]) for level in present]
    usable_sizes = [int(used.get(level, 0)) for level in present]
    compared_by = [
        "nothing" if n < SMALLEST else "model and means" if m >= enough else "means"
        for n, m in zip(sizes, usable_sizes, strict=True)
    ]
    return pd.DataFrame(
        {"group": present, "n": sizes, "used": usable_sizes, "compared_by": compared_by}
    )
