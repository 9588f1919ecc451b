"""Losses: what an example costs, its derivative, and the mean over the batch."""

from anynet.losses.base import Loss as Loss
from anynet.losses.classification import BinaryCrossEntropy as BinaryCrossEntropy
from anynet.losses.classification import CategoricalCrossEntropy as CategoricalCrossEntropy
from anynet.losses.classification import SigmoidCrossEntropy as SigmoidCrossEntropy
from anynet.losses.classification import SoftmaxCrossEntropy as SoftmaxCrossEntropy
from anynet.losses.regression import HalfSquaredError as HalfSquaredError
from anynet.losses.regression import MeanSquaredError as MeanSquaredError
