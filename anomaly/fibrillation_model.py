"""Weights of the probability of atrial fibrillation: made by ``python -m deploy.evaluate.fit_af``, not by hand."""

from typing import Final

OFFSET: Final = -8.06623
WEIGHTS: Final = {
    "rate": 0.0150804,
    "step_quarter": -7.97619,
    "step_upper": 1.12005,
    "step_mean": 0.97301,
    "turns": 4.66961,
    "ordinary": 1.28032,
    "few": -2.41719,
    "regular": -2.90999,
    "alike": -1.26155,
    "entropy": 1.24383,
    "p_size": -0.418267,
    "p_clear": -0.70494,
    "rest_pitch": -1.59538,
}
