"""This package holds what runs: one flow a file."""
