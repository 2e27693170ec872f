"""Numbers from frames and arrays: no study; a sentence only where they refuse."""
