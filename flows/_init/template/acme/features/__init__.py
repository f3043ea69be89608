"""This package holds what is known about our entities: one feature view a file."""
