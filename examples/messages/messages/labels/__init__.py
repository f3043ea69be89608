"""This package holds what people are asked."""
