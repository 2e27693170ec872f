"""Study and data become results and pictures: one entry a notebook, and none imports another."""
