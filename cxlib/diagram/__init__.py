"""Drawing: models as boxes and arrows, estimates as forests."""
