"""This package holds what computes: typed functions, one idea a file."""
