"""Drawing: models as boxes and arrows, estimates as forests."""

from cxlib.diagram.drawing import plot_conceptual, plot_diagram

__all__ = ["plot_conceptual", "plot_diagram"]
