"""The process of one contender: load it, verify its first losses, and run rounds on request.

``python -m tests.benchmarks.worker CONTENDER CASE SECONDS WARM``. It prints one JSON object per line: the losses of
the first training steps, then, for each line that it reads, the time of a round of about SECONDS. WARM is the number of
seconds of training before the first round.
"""

import json
import os
import sys
import time

from . import data
from .cases import CASES
from .contenders import CONTENDERS

CHECKED_STEPS = 5


def main(name, case_name, seconds, warm):
    """Serve the contender `name` in a case until standard input ends."""
    answers = _own_stdout()
    contender, case = CONTENDERS[name], CASES[case_name]
    trainer = contender.load()(case.network, contender.variant, contender.device, data.weights(case.network))
    run, factor, losses = _work(trainer, case)
    _answer(answers, losses=losses)
    count = _warm_up(run, float(seconds), float(warm))
    _answer(answers, count=count)
    for _ in sys.stdin:
        _answer(answers, time=_time(run, count) / count * factor)


def _work(trainer, case):
    """Return the function that a round repeats, the factor from seconds to the case's unit, and the first losses."""
    x, y = data.rows(case.network, case.rows)
    if case.kind == "predict":
        return _repeat(trainer.predict, x), 1e3, []
    if case.kind == "fit":
        batches = -(-case.rows // case.network.batch)

        def fit(count):
            trainer.fit(x, y, count)
            trainer.wait()

        return fit, 1e6 / batches, []
    trainer.hold(x, y)
    losses = []
    for _ in range(CHECKED_STEPS):
        trainer.step()
        losses.append(trainer.loss())
    steps = _repeat(trainer.step)

    def run(count):
        steps(count)
        trainer.wait()

    return run, 1e6, losses


def _repeat(function, *args):
    def run(count):
        for _ in range(count):
            function(*args)

    return run


def _time(run, count):
    start = time.perf_counter()
    run(count)
    return time.perf_counter() - start


def _warm_up(run, seconds, warm):
    """Run for at least `warm` seconds, and return the number of repetitions that take about `seconds`."""
    end = time.perf_counter() + warm
    _time(run, 1)
    count = 1
    while True:
        elapsed = _time(run, count)
        if time.perf_counter() >= end and elapsed >= seconds / 2:
            break
        # Start with few repetitions: a step may become many times faster after compilation.
        count = max(1, min(2 * count, round(count * seconds / elapsed)))
    count = max(1, round(count * seconds / elapsed))
    _time(run, count)
    return count


def _own_stdout():
    """Reserve stdout for the results: output of libraries goes to stderr."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return answers


def _answer(answers, **content):
    print(json.dumps(content), file=answers, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
