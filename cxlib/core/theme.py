"""How figures look: one theme, one colour a role, one font a language, and how they are saved."""

from __future__ import annotations

import contextlib
import functools
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from cxlib.core.result import Picture, Text

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.transforms import Bbox
    from matplotlib.typing import RcKeyType

ROLES = {
    "expectation": "#7F7F7F",
    "service": "#0072B2",
    "experience": "#56B4E9",
    "perception": "#009E73",
    "satisfaction": "#E69F00",
    "loyalty": "#D55E00",
    "context": "#CC79A7",
}
"""One colour-blind-safe colour (Okabe and Ito) a role of a construct, the same in every figure."""


INK, MUTED, GRID = "#222222", "#777777", "#E3E3E3"


FAMILIES = {
    "en": ("DejaVu Sans", "Verdana", "Arial"),
    "zh": (
        "Noto Sans SC",
        "Noto Sans CJK SC",
        "Source Han Sans SC",
        "PingFang SC",
        "Microsoft YaHei",
    ),
}
"""The first draws the figures and comes with a package; the others are for whoever opens an SVG file, whose text stays text.
A language that is not named here is drawn as English is."""


POSTSCRIPT = {"Noto Sans SC"}
"""Fonts whose outlines are PostScript's, not TrueType's."""


WIDE = "\u2e80-\u9fff\uac00-\ud7a3\uf900-\ufaff\uff00-\uffef"
"""Characters of Chinese text, with its punctuation: a line may end after any of them."""


OPENING, CLOSING = "（《〈「『【〔“‘", "、，。；：！？）》〉」』】〕”’…—·％,.;:!?)%"
"""Marks that end no line, and marks that begin none."""


LEADING = 1.3
"""Distance of the lines of a label, which Chinese characters fill up to the top."""


PIECE = re.compile(rf"[{OPENING}]*(?:[^\s{WIDE}{OPENING}]+|[{WIDE}])[{CLOSING}]*\s*|\S\s*")


def apart(places: Sequence[float], gap: float, top: float) -> np.ndarray:
    """Places of labels, given in rising order: moved as little as leaves `gap` between them and none above `top`."""
    rank = np.arange(len(places))
    lowest = np.maximum.accumulate(np.array(places, float) - gap * rank) + gap * rank
    return np.minimum(lowest, top - gap * rank[::-1])


def fold(text: str, width: int, most: int | None = None) -> str:
    """A label in lines of at most `width` columns, of which a Chinese character takes two.

    Lines break at spaces and between Chinese characters, so that a code and its wording stay together; no line begins
    with a mark that closes or ends with one that opens.  Of more than `most` lines the last shown ends in "…".
    """
    lines, line = [], ""
    for piece in PIECE.findall(text):
        if line and _columns((line + piece).rstrip()) > width:
            lines.append(line)
            line = ""
        line += piece
    lines = [kept.rstrip() for kept in (*lines, line)]
    if most is None or len(lines) <= most:
        return "\n".join(lines)
    last = PIECE.findall(lines[most - 1])
    while len(last) > 1 and _columns("".join(last).rstrip(CLOSING + " ")) >= width:
        last.pop()
    return "\n".join([*lines[: most - 1], "".join(last).rstrip(CLOSING + " ") + "…"])


def _columns(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def blank(words: Text, language: str) -> tuple[Figure, Text]:
    """A picture that says why there is none."""
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7.5, 1.4))
    axes.set_axis_off()
    axes.annotate(
        fold(words[language], 80),
        (0.5, 0.5),
        ha="center",
        va="center",
        color=MUTED,
        linespacing=LEADING,
    )
    return figure, words


@functools.cache
def _register() -> None:
    """Make the packaged Chinese font known to matplotlib: the file itself, before any font of that name on the machine.

    What is installed, and matplotlib's cached list of it (which never learns of a font installed later), then plays no part.
    The package holds one weight; it stands for bold too, or matplotlib would complain of every bold title.
    """
    from matplotlib.font_manager import fontManager
    from pylopdf_fonts_zh_cn import sans_path

    fontManager.addfont(sans_path())
    regular = fontManager.ttflist.pop()
    fontManager.ttflist[:0] = [regular, replace(regular, weight=700)]


def theme(language: str = "en") -> dict[RcKeyType, Any]:
    """The rcParams of every figure."""
    import seaborn

    _register()
    own = FAMILIES.get(language, FAMILIES["en"])
    others = [fonts for fonts in FAMILIES.values() if fonts != own]
    return {
        **seaborn.axes_style("whitegrid"),
        **seaborn.plotting_context("notebook", font_scale=0.9),
        # matplotlib looks for a missing character in one font a family, so the fonts of other languages are families too.
        "font.family": [own[0], "sans-serif", *(fonts[0] for fonts in others)],
        "font.sans-serif": list(own),
        "axes.edgecolor": GRID,
        "axes.labelcolor": INK,
        "text.color": INK,
        "xtick.color": INK,
        "ytick.color": INK,
        "grid.color": GRID,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.unicode_minus": False,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "figure.dpi": 110,
        "savefig.dpi": 160,
        "savefig.bbox": "tight",
        "svg.hashsalt": "cxlib",
        "svg.fonttype": "none",
        "figure.constrained_layout.use": True,
    }


def picture(draw: Callable[..., tuple[Figure, Text]]) -> Callable[..., Picture]:
    """Make a drawing function, `draw(..., language="en")` returning (figure, caption), return a :class:`Picture` in the one theme."""

    @functools.wraps(draw)
    def wrapped(*args: Any, language: str = "en", **kwargs: Any) -> Picture:
        import matplotlib
        from matplotlib import pyplot

        with matplotlib.rc_context(theme(language)):
            figure, caption = draw(*args, language=language, **kwargs)
            pyplot.close(figure)
        return Picture(figure, caption, language)

    return wrapped


FORMATS = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}
"""How figures are saved (screen, web and Word, LaTeX and print), without what would differ from run to run."""


def render(shown: Picture) -> tuple[bytes, ...]:
    """A picture in each of FORMATS; the same picture gives the same bytes."""
    import io

    import matplotlib
    from matplotlib import rcParams
    from matplotlib.text import Text as Label

    files = [io.BytesIO() for _ in FORMATS]
    # A figure that lays itself out (a diagram) must not be given matplotlib's layout when it is saved.
    options = {**theme(shown.language), "figure.constrained_layout.use": False}
    with matplotlib.rc_context(options), _fonts_without_shaping():
        area = _laid_out(shown.figure)
        # Publishers refuse Type 3 fonts, so PDFs embed TrueType; the Chinese font has PostScript outlines, which matplotlib
        # (3.11) declares as TrueType when asked for it, and Ghostscript then leaves all text out: its subset is Type 3.
        # What the ticks say is known once the figure has been laid out.
        postscript = rcParams["font.family"][0] in POSTSCRIPT or any(
            re.search(f"[{WIDE}]", label.get_text()) for label in shown.figure.findobj(Label)
        )
        with matplotlib.rc_context({"pdf.fonttype": 3 if postscript else 42}):
            for file, (kind, metadata) in zip(files, FORMATS.items(), strict=True):
                shown.figure.savefig(file, format=kind, metadata=metadata, bbox_inches=area)
    return tuple(file.getvalue() for file in files)


@contextlib.contextmanager
def _fonts_without_shaping() -> Iterator[None]:
    """Embed fonts in a PDF without the tables by which text is set: it is set already.

    Cutting those tables to the characters used, for which matplotlib has no switch, takes fontTools most of the time of a PDF.
    """
    from fontTools import subset

    class Options(subset.Options):
        def __init__(self, **named: object) -> None:
            super().__init__(**named)
            self.drop_tables += ["GDEF", "GPOS", "GSUB", "MATH", "kern"]

    plain, subset.Options = subset.Options, Options
    try:
        yield
    finally:
        subset.Options = plain


def _laid_out(figure: Figure) -> Bbox:
    """Lay a figure out for good, at the resolution it is saved in, and say what area (in inches) it fills.

    Left to itself, matplotlib lays a figure out and measures it anew for each format: most of the time of saving.
    """
    from matplotlib import rcParams

    shown_at, figure.dpi = figure.dpi, rcParams["savefig.dpi"]
    figure.draw_without_rendering()
    area = figure.get_tightbbox().padded(rcParams["savefig.pad_inches"])
    figure.set_layout_engine(
        None
    )  # none at all: after "none" savefig would still draw everything twice
    figure.dpi = shown_at
    return area
