"""This package copies a whole home into one archive while services are up, and brings it back.

layout     what a home holds, in which order it is copied, and what is left out
archive    the archive: a tar with a checksum of every file, at its end
databases  a consistent copy of an SQLite database that others write to
saving     home to archive
unpacking  archive to a folder beside the home, everything verified
moving     what names the old place, made to name the new one
restoring  archive to home
"""

from flows._backup.restoring import Restored, restore
from flows._backup.saving import Backup, Progress, backup

__all__ = ["Backup", "Progress", "Restored", "backup", "restore"]
