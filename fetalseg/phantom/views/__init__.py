"""One module a view. Each offers `field_mm`, the width an operator zooms to, and `paint`, which draws the plane."""
