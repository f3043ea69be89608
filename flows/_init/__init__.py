"""This package makes a repository of a user's own, out of the files in `template/`.

naming   which names a package may have beside everything that is installed
making   the files, with that name in the place of the template's
"""

from flows._init.making import Made, make_repository

__all__ = ["Made", "make_repository"]
