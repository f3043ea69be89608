"""This package holds seeded edits of real modules, and what each must do to a cache key."""
