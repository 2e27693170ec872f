"""The parameters of the notebooks: one table, for the cells that declare them, `--set`, `--help` and the first cell's check."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from cxlib.core.words import Sentence, _, c_, joined, languages, listed
from cxlib.run.failures import RunError
from cxlib.study.schema import Study

Value = str | int | float | bool
KINDS: dict[type, Sentence] = {
    bool: c_("parameter", "true or false"),
    int: c_("parameter", "a whole number"),
    float: c_("parameter", "a number"),
    str: c_("parameter", "a text"),
}
"""The kinds of values, in words."""


@dataclass(frozen=True)
class Parameter:
    """What a notebook lets its reader choose.

    name, default : as in its cell; the default's type is the parameter's
    help : the comment beside it
    allowed : the only values there are; empty for any
    names : whose names in the study are the only values; the empty text too, if it is the default
    least, most : bounds of a number
    off : whether 0 is allowed below `least`, and leaves the step out
    """

    name: str
    default: Value
    help: Sentence
    allowed: tuple[str, ...] = ()
    names: Literal["", "models", "groups"] = ""
    least: float | None = None
    most: float | None = None
    off: bool = False

    def takes(self, value: Any, study: Study | None = None) -> bool:
        """Whether a notebook can work with this value; the names of a study are asked for only if it is given."""
        kind = type(self.default)
        if type(value) is not kind and not (kind is float and type(value) is int):
            return False
        if kind is str:
            among = self._among(study)
            return not among or value in among
        number = float(value)
        if kind is bool or (self.off and number == 0):
            return True
        return (self.least is None or number >= self.least) and (
            self.most is None or number <= self.most
        )

    def read(self, text: str) -> Value:
        """The value that a command line writes as `text`; ValueError if it is not of this kind."""
        if isinstance(self.default, bool):
            if text.lower() not in ("true", "false"):
                raise ValueError(text)
            return text.lower() == "true"
        return type(self.default)(text)

    def reads(self, text: str, study: Study) -> bool:
        """Whether `text` is a value it takes."""
        try:
            return self.takes(self.read(text), study)
        except ValueError:
            return False

    def wanted(self, study: Study | None = None) -> Sentence:
        """The values it takes, in words."""
        if among := [name for name in self._among(study) if name]:
            return c_("parameter", "one of {names}", names=among)
        if self.names == "groups" and study is not None:
            return c_("parameter", "nothing, for no column of this study has group: true")
        kind = KINDS[type(self.default)]
        if self.least is None:
            return kind
        if self.most is not None:
            return c_(
                "parameter",
                "{kind} from {least:g} to {most:g}",
                kind=kind,
                least=self.least,
                most=self.most,
            )
        if self.off:
            return c_("parameter", "{kind}, at least {least:g} or 0", kind=kind, least=self.least)
        return c_("parameter", "{kind}, at least {least:g}", kind=kind, least=self.least)

    def _among(self, study: Study | None) -> tuple[str, ...]:
        if not self.names or study is None:
            return self.allowed
        own = study.models if self.names == "models" else study.groups
        return ("", *own) if self.default == "" else tuple(own)


OWN_OPTIONS = ("study", "out", "language")
"""The parameters that the command line has options of their own for."""
COMMON = (
    Parameter("study", "vas", _("an id under data/, or the path of a study file")),
    Parameter("out", "", _("the run folder; empty: runs/<id>")),
    Parameter("language", "en", _('"en" or "zh"'), allowed=languages()),
    Parameter("seed", 2026, _("everything random follows from it"), least=0),
)
ESTIMATORS = ("ML", "MLR", "WLSMV")
MODELLED_MISSING = ("listwise", "fiml", "mi")
ESTIMATOR = Parameter(
    "estimator",
    "ML",
    _('"ML", "MLR" (robust to non-normal answers), or "WLSMV" (ordered categories)'),
    allowed=ESTIMATORS,
)
MISSING = Parameter(
    "missing",
    "listwise",
    _('"listwise"; "fiml" uses every answer given (ML, MLR); "mi" imputes twenty times (ML, MLR)'),
    allowed=MODELLED_MISSING,
)
OWN: dict[str, tuple[Parameter, ...]] = {
    "00_study": (
        Parameter(
            "effect",
            0.2,
            _("the standardised size assumed for every path where the study declares no truth"),
            least=-1,
            most=1,
        ),
        Parameter("reps", 500, _("simulated samples for each sample size"), least=50),
    ),
    "01_cleaning": (),
    "02_description": (),
    "03_reliability": (),
    "04_factors": (
        Parameter(
            "method",
            "minres",
            _('how factors are extracted: "minres", "ml" or "pa"'),
            allowed=("minres", "ml", "pa"),
        ),
        Parameter(
            "rotation",
            "oblimin",
            _('"oblimin" or "promax" (factors may correlate), "varimax" (they may not)'),
            allowed=("oblimin", "promax", "varimax"),
        ),
        Parameter(
            "correlation",
            "pearson",
            _('"pearson", or "polychoric" for answers that are only ordered'),
            allowed=("pearson", "polychoric"),
        ),
        Parameter("n_factors", 0, _("0: as many as parallel analysis suggests"), least=0),
    ),
    "05_measurement": (
        Parameter(
            "model", "main", _("which of the study's models names the constructs"), names="models"
        ),
        Parameter(
            "n_boot", 1000, _("bootstrap draws for the intervals of HTMT and HTMT2"), least=100
        ),
        ESTIMATOR,
        MISSING,
    ),
    "06_structure": (
        Parameter(
            "n_boot",
            1000,
            _("bootstrap draws for the ranks of the drivers and for Bollen and Stine's p"),
            least=100,
        ),
        ESTIMATOR,
        Parameter(
            "marks",
            "stars",
            _('on the arrows of the diagram: "stars", or "interval" (95 %)'),
            allowed=("stars", "interval"),
        ),
        MISSING,
    ),
    "07_mediation": (
        Parameter("n_boot", 2000, _("bootstrap draws"), least=100),
        Parameter(
            "interval",
            "bca",
            _('which interval the effects table shows: "bca", "percentile" or "delta"'),
            allowed=("bca", "percentile", "delta"),
        ),
        Parameter(
            "estimator",
            "ML",
            _(
                '"ML", "MLR" (robust to non-normal answers and to clusters), or "WLSMV" (ordered categories)'
            ),
            allowed=ESTIMATORS,
        ),
        MISSING,
    ),
    "08_groups": (
        Parameter(
            "group",
            "",
            _("one of the study's grouping columns; empty: the first"),
            names="groups",
        ),
        Parameter("model", "main", _("which of the study's models is compared"), names="models"),
        Parameter(
            "criterion",
            "approximate",
            _('a level holds by the changes of CFI and RMSEA ("approximate") or of χ² ("chisq")'),
            allowed=("approximate", "chisq"),
        ),
        Parameter(
            "n_permutations",
            1000,
            _("random groupings of the permutation test (complete rows only); 0: none"),
            least=0,
        ),
        Parameter(
            "n_boot",
            500,
            _("bootstrap draws for the differences of paths; 0: none"),
            least=100,
            off=True,
        ),
        Parameter(
            "interactions",
            "",
            _('further interactions to test: "sat100 ~ pc100 * age; sat100 ~ cv100 * gender"'),
        ),
        Parameter(
            "estimator",
            "ML",
            _('"ML"; "MLR" (robust to non-normal answers); "WLSMV" (ordered categories)'),
            allowed=ESTIMATORS,
        ),
        Parameter(
            "missing",
            "listwise",
            _('"listwise"; "fiml" uses every answer given (ML, MLR); "pairwise" (WLSMV)'),
            allowed=("listwise", "fiml", "mi", "pairwise"),
        ),
        Parameter(
            "merge_answers",
            False,
            _("WLSMV: an answer nobody of a group gave joins its neighbour, in all groups"),
        ),
    ),
    "14_report": (),
}
"""What each notebook declares besides `COMMON`."""


def declared(notebook: str) -> dict[str, Parameter]:
    """The parameters of a notebook, by name, in the order of its cell."""
    return {one.name: one for one in (*COMMON, *OWN.get(notebook, ()))}


def given(pairs: Iterable[str], chosen: Iterable[str], study: Study) -> dict[str, Value]:
    """What `--set name=value` sets, checked against every chosen notebook that declares it, before anything runs.

    Parameters
    ----------
    pairs : iterable of str
        Each ``name=value``.
    chosen : iterable of str
        Notebooks.
    study : Study
        Whose names of models and groups are allowed.

    Raises
    ------
    RunError
        Naming the allowed parameters, or the values that are wanted.
    """
    settable = {
        name: {k: p for k, p in declared(name).items() if k not in OWN_OPTIONS} for name in chosen
    }
    out: dict[str, Value] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals:
            raise RunError(
                _("--set {pair}: write it as name=value, for example --set seed=1.", pair=pair)
            )
        takers = {notebook: own[name] for notebook, own in settable.items() if name in own}
        if not takers:
            raise RunError(_unknown(name, settable.values()))
        refused = [notebook for notebook, one in takers.items() if not one.reads(text, study)]
        if refused:
            raise RunError(_refused(name, text, takers, refused, study))
        out[name] = next(iter(takers.values())).read(text)
    return out


def _refused(
    name: str, text: str, takers: Mapping[str, Parameter], refused: Sequence[str], study: Study
) -> Sentence:
    """Some notebooks cannot work with a value: what the first of them wants, and which could."""
    able = [notebook for notebook in takers if notebook not in refused]
    parameter = takers[refused[0]]
    return joined(
        _(
            "--set {name}={text}: {notebook} wants {wanted} (default {value}).",
            name=name,
            text=text,
            notebook=refused[0],
            wanted=parameter.wanted(study),
            value=repr(parameter.default),
        ),
        _("Choose the notebooks that take it with --only: {able}.", able=able) if able else "",
    )


def _unknown(name: str, settable: Iterable[Mapping[str, Parameter]]) -> Sentence:
    """No chosen notebook has the parameter: which there are."""
    known = {k: p for own in settable for k, p in own.items()}
    return _(
        "--set {name}: no chosen notebook has this parameter. Allowed: {known}.",
        name=name,
        known=listed(
            _("{name} ({kind}, default {value})", name=k, kind=p.wanted(), value=repr(p.default))
            for k, p in sorted(known.items())
        ),
    )


def check(notebook: str, values: Mapping[str, Any], study: Study | None = None) -> None:
    """Refuse a value that a notebook cannot work with; names that it does not declare are not looked at.

    Raises
    ------
    RunError
        Naming the value and what is wanted.
    """
    for name, parameter in declared(notebook).items():
        if name in values and not parameter.takes(values[name], study):
            raise RunError(
                _(
                    "{name} = {given}: {wanted} is wanted (default {value}).",
                    name=name,
                    given=repr(values[name]),
                    wanted=parameter.wanted(study),
                    value=repr(parameter.default),
                )
            )


def explained() -> Sentence:
    """Every parameter with its default and its help, a notebook a paragraph, for `--help`."""
    rows: list[Sentence] = [_("what --set may set, with the default:"), _explained(COMMON[-1])]
    for notebook, own in OWN.items():
        if own:
            rows += [joined(f"\n  {notebook}"), *map(_explained, own)]
    return joined(*rows, between="\n")


def _explained(parameter: Parameter) -> Sentence:
    return _(
        "    {name}={value}  {help}",
        name=parameter.name,
        value=parameter.default,
        help=parameter.help,
    )
