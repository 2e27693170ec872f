"""Linked tables against the analysis, by their key."""

from __future__ import annotations

import pandas as pd

from cxlib.core.errors import DataError
from cxlib.core.result import Result, Text, makes
from cxlib.core.words import _, n_
from cxlib.responses.reading import linked
from cxlib.study.schema import Study

COLUMNS = ["table", "key", "rows", "joined", "respondents", "without"]


@makes("joins", "table key rows joined respondents without")
def joins(study: Study, data: pd.DataFrame) -> Result:
    """Every linked table against the analysis: its key, its rows before and after the join, and who has none.

    Returns
    -------
    Result
        table, key, rows, joined (rows that belong to a respondent of the analysis), respondents, without (respondents
        that have no row in it).  The join never adds respondents: ``rows: one`` is checked.

    Raises
    ------
    DataError
        The key is not a column of the responses; or as :func:`cxlib.responses.reading.linked`.
    """
    rows: list[tuple[str, str, int, int, int, int]] = []
    notes: list[Text] = []
    for name, table in study.tables.items():
        if table.key not in data:
            raise DataError(
                _(
                    "Table '{name}' is joined by '{key}', which is not a column of the responses. Declare it under columns: as kind: id.",
                    name=name,
                    key=table.key,
                )
            )
        reading = linked(study, name)
        # no key is nobody's
        have = reading.frame[table.key].dropna().astype(str)
        wanted = data[table.key].dropna().astype(str)
        inside = int(have.isin(wanted).sum())
        without = len(data) - int(wanted.isin(have).sum())
        rows.append((name, table.key, len(reading.frame), inside, len(data), without))
        notes += reading.notes
    found = pd.DataFrame(rows, columns=COLUMNS)
    text = n_(
        "{n} linked table; {used:,} of its {held:,} rows belong to respondents of the analysis. Rows of respondents who were "
        "screened out stay unused.",
        "{n} linked tables; {used:,} of their {held:,} rows belong to respondents of the analysis. Rows of respondents who were "
        "screened out stay unused.",
        len(rows),
        used=int(found["joined"].sum()),
        held=int(found["rows"].sum()),
    )
    if not rows:
        text = _("The study declares no linked tables.")
    return Result(found, text, len(data), _("joins checked by key"), tuple(notes))
