"""This package holds the migrations of the shared database, run by Alembic when it is opened."""
