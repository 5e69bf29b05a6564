"""Public data sets in the layout in which their publishers offer them, turned into COCO files with our categories."""

from __future__ import annotations

from fetalseg.data.importers.fetus_framework import import_fetus_framework
from fetalseg.data.importers.hc18 import import_hc18
from fetalseg.data.importers.written_set import ImportedSet

__all__ = ["IMPORTERS", "ImportedSet", "import_fetus_framework", "import_hc18"]

# word on the command line: what it does
IMPORTERS = {"hc18": import_hc18, "fetus-framework": import_fetus_framework}
