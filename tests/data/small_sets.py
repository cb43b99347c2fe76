"""Every data set that this project generates, with few examples each."""

from __future__ import annotations

from piecewise.data.classification import Binary1d, Multiclass1d, Regions2d
from piecewise.data.curved_classes import Moons, Spirals
from piecewise.data.mnist1d import Mnist1d
from piecewise.data.ranges import Correlated, Counts, Directions, Proportions, Rankings, WaitingTimes
from piecewise.data.regression import Curve1d, Funnel, GaborWave, Line, Outliers, TwoModes
from piecewise.data.stored import Generated
from piecewise.data.synthetic import Synthetic

KINDS: list[type[Synthetic]] = [
    *(Line, Curve1d, GaborWave, Funnel, Outliers, TwoModes, Binary1d, Regions2d, Multiclass1d, Moons, Spirals),
    *(WaitingTimes, Proportions, Directions, Counts, Correlated, Rankings),
]
SMALL: list[Generated] = [*(kind(num_train=60, num_test=20) for kind in KINDS), Mnist1d(50)]  # type: ignore[call-arg]
