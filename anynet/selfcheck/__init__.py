"""The self-check: every kind of computation on one backend, compared with NumPy in float64.

``python -m anynet check`` and `anynet.backends.check` run it.

===================  ================================================================================================
`cases`              the networks, the optimizers and their data
`reference`          the reference results, and the condition of each
`compare`            the same computations on a backend, each gap with its limit
`libraries`          settings and counters of the array libraries
`speed`              time, launches and synchronizations per step
`report`             the rows of the report, its table and its JSON
===================  ================================================================================================
"""

from anynet.selfcheck.compare import run as run
