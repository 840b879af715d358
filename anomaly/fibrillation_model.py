"""Weights of the probability of atrial fibrillation: made by ``python -m deploy.evaluate.fit_af``, not by hand."""

from typing import Final

OFFSET: Final = -7.43977
WEIGHTS: Final = {
    "rate": 0.0155598,
    "step_quarter": -8.00836,
    "step_upper": 0.949849,
    "step_mean": 0.803197,
    "turns": 4.56107,
    "ordinary": 1.07903,
    "few": -2.50899,
    "regular": -2.99081,
    "alike": -1.42892,
    "entropy": 1.31047,
    "echo": -0.623685,
    "p_size": -0.47334,
    "p_clear": -0.699466,
    "rest_pitch": -1.54733,
}
