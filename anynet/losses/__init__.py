"""Losses: what an example costs, its derivative, and the mean over the batch."""

from anynet.losses.base import Loss as Loss
from anynet.losses.binary import BinaryCrossEntropy as BinaryCrossEntropy
from anynet.losses.binary import SigmoidCrossEntropy as SigmoidCrossEntropy
from anynet.losses.classification import CategoricalCrossEntropy as CategoricalCrossEntropy
from anynet.losses.classification import SoftmaxCrossEntropy as SoftmaxCrossEntropy
from anynet.losses.divergence import KLDivergence as KLDivergence
from anynet.losses.divergence import Poisson as Poisson
from anynet.losses.margin import FocalLoss as FocalLoss
from anynet.losses.margin import Hinge as Hinge
from anynet.losses.regression import HalfSquaredError as HalfSquaredError
from anynet.losses.regression import Huber as Huber
from anynet.losses.regression import LogCosh as LogCosh
from anynet.losses.regression import MeanAbsoluteError as MeanAbsoluteError
from anynet.losses.regression import MeanSquaredError as MeanSquaredError
from anynet.losses.several import Losses as Losses
