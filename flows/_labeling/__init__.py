"""This package holds what the flows `label_round` and `label_collect` are made of."""
