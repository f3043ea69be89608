"""This package sorts what customers write, with labels that people gave."""
