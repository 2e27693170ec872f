"""A run: its folder, its notebooks, its report, its command line."""
