"""This package is the labeling page: where people answer, one item and one key press at a time.

It shows what `LabelQueue` gives out and passes on what people answer; it keeps nothing itself.
"""
