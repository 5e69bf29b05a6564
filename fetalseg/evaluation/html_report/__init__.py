"""The report of an evaluation as one HTML page, for screen and paper."""
