"""A model on a GPU answers as on the processor, or stays there and says so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from operators import gpu
from operators.bundle import load_bundle, write_bundle
from operators.gpu import load_bundle_on_gpu, visible_gpus
from operators.runtimes import probes_of
