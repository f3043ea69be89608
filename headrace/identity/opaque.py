"""This module lists the standard functions behind which code cannot be seen, and says why."""

from __future__ import annotations

import sys

_MADE = "runs code that is made at run time"
_LOADS = "loads code whose name is only known at run time"
_UNPICKLES = "can load any code that a pickle names"
_FRAMES = "looks at the code that is running"
_SOURCE = "reads the text of code"
_ENVIRONMENT = "reads the environment, which is not part of the key"
_START = "reads what the process was started with"
_PROGRAM = "runs a program whose version is not known"
_LIBRARY = "loads a library whose version is not known"
_PATCH = "changes how other code works"

REASONS: dict[str, str] = {
    **dict.fromkeys(("builtins.eval", "builtins.exec", "builtins.compile"), _MADE),
    **dict.fromkeys(("types.CodeType", "code.interact", "codeop.compile_command"), _MADE),
    **dict.fromkeys(("builtins.__import__", "importlib.import_module"), _LOADS),
    **dict.fromkeys(("importlib.reload", "importlib.__import__", "pkgutil.resolve_name"), _LOADS),
    **dict.fromkeys(("runpy.run_path", "runpy.run_module", "sys.modules", "sys.meta_path"), _LOADS),
    **dict.fromkeys(("importlib.util.spec_from_file_location", "importlib.util.find_spec"), _LOADS),
    **dict.fromkeys(("pydoc.locate", "logging.config.dictConfig"), _LOADS),
    **dict.fromkeys(("pickle.loads", "pickle.load", "pickle.Unpickler"), _UNPICKLES),
    **dict.fromkeys(("marshal.loads", "marshal.load", "shelve.open"), _UNPICKLES),
    **dict.fromkeys(("cloudpickle.loads", "cloudpickle.load"), _UNPICKLES),
    **dict.fromkeys(("dill.loads", "dill.load", "joblib.load"), _UNPICKLES),
    **dict.fromkeys(("pandas.read_pickle", "pandas.io.pickle.read_pickle"), _UNPICKLES),
    "copyreg.dispatch_table": "depends on what other code registered for pickling",
    "builtins.globals": "reaches all names of its module",
    **dict.fromkeys(("sys._getframe", "sys._current_frames", "inspect.stack"), _FRAMES),
    **dict.fromkeys(("inspect.currentframe", "inspect.trace", "gc.get_objects"), _FRAMES),
    **dict.fromkeys(("gc.get_referrers", "gc.get_referents", "inspect.getmembers"), _FRAMES),
    **dict.fromkeys(("inspect.getsource", "inspect.getsourcelines", "inspect.getfile"), _SOURCE),
    **dict.fromkeys(("inspect.getsourcefile", "inspect.getcomments", "dis.dis"), _SOURCE),
    **dict.fromkeys(("linecache.getline", "linecache.getlines"), _SOURCE),
    **dict.fromkeys(("os.environ", "os.environb", "os.getenv", "os.getenvb"), _ENVIRONMENT),
    **dict.fromkeys(("sys.argv", "sys.stdin", "builtins.input"), _START),
    **dict.fromkeys(("os.system", "os.popen", "os.execv", "os.execve", "os.fork"), _PROGRAM),
    **dict.fromkeys(("os.posix_spawn", "os.spawnv", "subprocess.run"), _PROGRAM),
    **dict.fromkeys(("subprocess.Popen", "subprocess.call", "subprocess.check_call"), _PROGRAM),
    **dict.fromkeys(("subprocess.check_output", "subprocess.getoutput"), _PROGRAM),
    **dict.fromkeys(("ctypes.CDLL", "ctypes.PyDLL", "ctypes.cdll", "ctypes.pydll"), _LIBRARY),
    **dict.fromkeys(("sys.settrace", "sys.setprofile"), _PATCH),
}
# Modules that lead to all others: to hand one on is to hand on everything.
GATEWAYS = frozenset({"sys", "builtins", "importlib", "gc", "inspect", "os", "pickle", "__main__"})


def by_identity() -> dict[int, tuple[str, str]]:
    """Return name and reason for each listed object that is loaded, by `id`."""
    found = {}
    for name, reason in REASONS.items():
        module, _, attribute = name.rpartition(".")
        value = getattr(sys.modules.get(module), attribute, None)
        if value is not None:
            found[id(value)] = (name.removeprefix("builtins."), reason)
    return found
