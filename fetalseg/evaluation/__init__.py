"""How good a model is on annotated frames."""
