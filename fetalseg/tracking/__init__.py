"""Identities and steadiness over time."""

from __future__ import annotations

from fetalseg.tracking.options import TrackerOptions
from fetalseg.tracking.tracker import Tracker

__all__ = ["Tracker", "TrackerOptions"]
