"""The engine room: model, estimate, fit measures, resampling, groups, ordinal data."""

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
    "difference": "robust",
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
