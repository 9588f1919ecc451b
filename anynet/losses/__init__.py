"""Losses: the loss of an example, its derivative, and the mean over the batch."""

from anynet.losses.base import Loss as Loss
from anynet.losses.binary import BinaryCrossEntropy as BinaryCrossEntropy, SigmoidCrossEntropy as SigmoidCrossEntropy
from anynet.losses.classification import (
    CategoricalCrossEntropy as CategoricalCrossEntropy,
    SoftmaxCrossEntropy as SoftmaxCrossEntropy,
)
from anynet.losses.distribution import GaussianNLL as GaussianNLL, Quantile as Quantile
from anynet.losses.divergence import KLDivergence as KLDivergence, Poisson as Poisson
from anynet.losses.margin import FocalLoss as FocalLoss, Hinge as Hinge
from anynet.losses.members import EachMember as EachMember
from anynet.losses.positions import EachPosition as EachPosition
from anynet.losses.regression import (
    MSE as MSE,
    HalfSquaredError as HalfSquaredError,
    Huber as Huber,
    LogCosh as LogCosh,
    MeanAbsoluteError as MeanAbsoluteError,
    MeanSquaredError as MeanSquaredError,
)
from anynet.losses.several import Losses as Losses
