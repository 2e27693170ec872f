"""The engine room: model, estimate, fit measures, resampling, groups, ordinal data.

It knows no study, no stage and no picture: numbers go in, a :class:`~cxlib.sem.result.Fit` comes out, and what must be
known before believing it stands in its warnings, as sentences that are data.  scipy's functions are imported where they
are used: to load them takes longer than a small fit.
"""

from __future__ import annotations

import importlib

_HOME = {
    "parse": "model",
    "replicate": "model",
    "Model": "model",
    "ModelError": "model",
    "Moments": "discrepancy",
    "Discrepancy": "discrepancy",
    "fit": "estimate",
    "fit_moments": "estimate",
    "Fit": "result",
    "DataError": "samples",
    "fit_measures": "measures",
    "reported": "measures",
    "difference": "nested",
    "polychoric": "polychorics",
    "ordinal_alpha": "polychorics",
    "Polychoric": "polychorics",
    "OrdinalFit": "ordinal",
    "modification_indices": "modification",
    "residuals": "modification",
}
__all__ = list(_HOME)


def __getattr__(name: str):
    """Import a function from its module when it is first used."""
    if name not in _HOME:
        raise AttributeError(f"module 'cxlib.sem' has no attribute '{name}'")
    return getattr(importlib.import_module(f"cxlib.sem.{_HOME[name]}"), name)
