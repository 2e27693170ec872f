"""A file becomes the analysis frame."""

from cxlib.responses.formats import locate
from cxlib.responses.joins import joins
from cxlib.responses.reading import Reading, key, linked, read

__all__ = ["Reading", "joins", "key", "linked", "locate", "read"]
