"""This package holds what computes: typed steps from data to models."""
