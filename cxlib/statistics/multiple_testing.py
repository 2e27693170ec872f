"""p values of several tests, adjusted for their number."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np


def holm(p: Iterable[float]) -> np.ndarray:
    """Holm's adjusted p values; missing ones stay missing and do not count.

    Notes
    -----
    R: ``p.adjust(p, "holm")``.
    """
    from statsmodels.stats.multitest import multipletests

    out = np.array(p, float)
    if (known := ~np.isnan(out)).any():
        out[known] = multipletests(out[known], method="holm")[1]
    return out
