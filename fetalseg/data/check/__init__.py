"""Everything that is wrong with annotated images, collected before anybody trains on them."""

from __future__ import annotations

from fetalseg.data.check.findings import Finding, Level
from fetalseg.data.check.sets import CheckReport, check_sets

__all__ = ["CheckReport", "Finding", "Level", "check_sets"]
