"""This package holds what reads the messages."""
