"""This package holds what is known about viewers and films: one feature view a file."""
