"""Where a study file speaks of something, for whoever has to correct it."""

from __future__ import annotations

import hashlib
import re

from cxlib.core.words import Sentence, _
from cxlib.study.schema import Study


def where(study: Study, name: str) -> Sentence | str:
    """ "See study.yml, line 7." for a key of the study file; nothing if the file can no longer be found."""
    for path in sorted(study.folder.glob("*.yml")):
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() == study.digest:
            for number, line in enumerate(content.decode("utf-8-sig").splitlines(), 1):
                if re.search(rf"(^|[{{,])\s*[\"']?{re.escape(name)}[\"']?\s*:", line):
                    return _("See {file}, line {line}.", file=path.name, line=number)
    return ""
