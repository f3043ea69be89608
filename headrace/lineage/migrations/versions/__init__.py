"""This package holds one module per revision; `database.HEAD` names the newest."""
