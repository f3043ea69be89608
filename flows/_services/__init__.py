"""This package starts, watches and stops the servers that runs are seen in.

environment  what the servers and the processes that talk to them are told
definitions  which services there are, and how each says that it is ready
processes    one daemon: start it, find it again, stop it with all it started
ports        who holds a port
lifecycle    up, down, status
"""

from flows._services.environment import apply_client_environment, client_environment
from flows._services.lifecycle import Progress, ServiceState, down, status, up

__all__ = [
    "Progress",
    "ServiceState",
    "apply_client_environment",
    "client_environment",
    "down",
    "status",
    "up",
]
