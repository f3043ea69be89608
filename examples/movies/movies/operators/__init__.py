"""This package holds what computes."""
