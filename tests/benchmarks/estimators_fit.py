"""Time to fit of anynet's and scikit-learn's classifiers on digits and MNIST, with equal settings.

``python -m tests.benchmarks.estimators_fit --rounds 5`` prints a table in Markdown. Every sample is a new process, the two
alternate, and a ratio is computed per round. Both train the same network for the same number of epochs; a difference in the
last loss beyond rounding is reported as an error.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
import warnings

import numpy as np

from tests.benchmarks.processes import ROOT

CASES = {
    "digits": {"random_state": 0},
    "digits, early stopping": {"random_state": 0, "early_stopping": True},
    "mnist": {"random_state": 0, "max_iter": 5},
    "mnist float32": {"random_state": 0, "max_iter": 5},
}
SIDES = ("scikit-learn", "anynet")


def data(case: str) -> tuple[np.ndarray, np.ndarray]:
    """Return pixels in [0, 1] and classes; float64 unless the case specifies a dtype."""
    from anynet import load_digits, load_mnist

    (x, y), _ = load_mnist() if case.startswith("mnist") else load_digits()
    dtype = "float32" if case.endswith("float32") else "float64"
    return x.reshape(len(x), -1).astype(dtype) / x.max(), np.asarray(y)


def fit(case: str, side: str) -> dict[str, float]:
    """Fit once, and return its seconds and results."""
    if side == "anynet":
        from anynet.sklearn import MLPClassifier
    else:
        from sklearn.neural_network import MLPClassifier
    x, y = data(case)
    warnings.simplefilter("ignore")
    start = time.perf_counter()
    fitted = MLPClassifier(**CASES[case]).fit(x, y)
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "loss": float(fitted.loss_), "epochs": int(fitted.n_iter_)}


def sample(case: str, side: str) -> dict[str, float]:
    """Fit in a separate process."""
    command = [sys.executable, "-m", __spec__.name, "--case", case, "--side", side]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def compare(case: str, rounds: int, pause: float) -> str:
    """Return a row of the table."""
    times: dict[str, list[float]] = {side: [] for side in SIDES}
    for number in range(rounds + 1):  # the first warms the disk cache
        found = {}
        for side in SIDES if number % 2 else SIDES[::-1]:
            time.sleep(pause)
            found[side] = sample(case, side)
            if number:
                times[side].append(found[side]["seconds"])
        losses = [found[side]["loss"] for side in SIDES]
        if abs(losses[0] - losses[1]) > 0.2 * max(losses):
            raise SystemExit(f"{case}: the two do not train the same network, losses {losses}")
    theirs, ours = (np.array(times[side]) for side in SIDES)
    epochs = found["anynet"]["epochs"]
    return f"| {case} | {epochs} | {np.median(theirs):.2f} | {np.median(ours):.2f} | {np.median(ours / theirs):.2f} |"


def main() -> None:
    """Run the benchmark, or, in a subprocess, one sample."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pause", type=float, default=0.5, help="seconds between two processes")
    parser.add_argument("--case", choices=CASES, help="only this one")
    parser.add_argument("--side", choices=SIDES, help="fit in this process, and print what it took")
    chosen = parser.parse_args()
    if chosen.side:
        print(json.dumps(fit(chosen.case, chosen.side)))
        return
    print("| data | epochs | scikit-learn, s | anynet, s | ratio |\n|---|---|---|---|---|")
    for case in [chosen.case] if chosen.case else CASES:
        print(compare(case, chosen.rounds, chosen.pause), flush=True)


if __name__ == "__main__":
    main()
