from __future__ import annotations

import subprocess
import sys

import numpy as np
import torch

from operators._network import AdamW, first_weights


def test_the_steps_are_those_of_torchs_adamw():
    draw = np.random.default_rng(0)
    inputs, target = (torch.from_numpy(draw.normal(size=(20, n))) for n in (3, 1))
    start = torch.from_numpy(draw.normal(size=(3, 1)))
    ours, theirs = (start.clone().requires_grad_() for _ in range(2))
    mine = AdamW([ours], rate=0.05, decay=0.1)
    reference = torch.optim.AdamW([theirs], lr=0.05, weight_decay=0.1)

    for _ in range(25):
        mine.step((inputs @ ours - target).square().mean())
        reference.zero_grad()
        (inputs @ theirs - target).square().mean().backward()
        reference.step()

    assert not torch.allclose(ours, start)
    torch.testing.assert_close(ours, theirs)


def test_the_first_weights_are_those_of_the_seed():
    one, same, other = (
        first_weights(4, [3], [5], np.random.default_rng(seed)) for seed in (1, 1, 2)
    )

    shapes = {name: array.shape for name, array in one.items()}
    assert shapes == {
        "embedding_0": (4, 4),
        "weight_0": (8, 5),
        "bias_0": (5,),
        "weight_1": (5, 1),
        "bias_1": (1,),
    }
    np.testing.assert_equal(one, same)
    assert (one["weight_0"] != other["weight_0"]).all()


def test_training_a_network_does_not_load_torchs_compiler():
    program = """
import sys, torch
from operators._network import AdamW
weight = torch.ones(2, requires_grad=True)
torch.set_deterministic_debug_mode("error")
AdamW([weight], rate=0.1, decay=0.0).step(weight.square().sum())
print(round(float(weight[0]), 3), "torch._dynamo" in sys.modules)
"""

    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )

    assert done.stdout.split() == ["0.9", "False"]
