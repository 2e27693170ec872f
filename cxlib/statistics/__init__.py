"""Numbers from frames: no study, no sentence."""
