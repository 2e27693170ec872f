"""A file of answers becomes the analysis frame: cells, columns, reading, cleaning."""
