"""Hooks that observe training and can stop it."""

from anynet.callbacks.base import Callback as Callback, Run as Run
from anynet.callbacks.checkpoint import Checkpoint as Checkpoint
from anynet.callbacks.early_stopping import EarlyStopping as EarlyStopping
from anynet.callbacks.finite import StopOnNaN as StopOnNaN
from anynet.callbacks.function import LambdaCallback as LambdaCallback
from anynet.callbacks.logger import CSVLogger as CSVLogger
from anynet.callbacks.plateau import ReduceLROnPlateau as ReduceLROnPlateau
from anynet.callbacks.progress import ProgressBar as ProgressBar
