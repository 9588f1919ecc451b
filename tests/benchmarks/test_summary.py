"""The parts of the benchmarks that could mislead: ratios, rivals, checks, and batches that must not be fitted."""

import math

import numpy as np
import pytest

from . import data, fitness
from .cases import CASES, GPU_QUICK, GPU_TABLE, STEPS
from .contenders import CONTENDERS
from .contenders.numpy_by_hand import Trainer
from .report import as_markdown, as_run
from .rounds import OVER, Settings, measure
from .summary import Result, best, ratio, same_losses, spread
from .targets import TARGETS, judged


def test_ratio_is_taken_round_by_round():
    assert ratio([1.0, 10.0, 2.0], [2.0, 20.0, 4.0]) == [0.5, 0.5, 0.5]


def test_spread_is_quartiles_around_the_median():
    assert spread([5.0, 1.0, 3.0, 2.0, 4.0]) == [2.0, 3.0, 4.0]
    assert spread([7.0]) == [7.0, 7.0, 7.0]


def test_best_rival_is_the_one_with_the_lowest_median():
    samples = {"a": [1.0, 9.0, 9.0], "b": [2.0, 2.0, 2.0]}
    assert best(samples, ("a", "b", "absent")) == "b"
    assert best(samples, ("absent",)) is None


def test_losses_differ_where_one_does():
    assert same_losses([1.0, 0.9], [1.0, 0.90001])
    assert not same_losses([1.0, 0.8], [1.0, 0.9])
    assert same_losses([math.nan, math.nan], [1.0, 0.9])


def test_a_target_is_judged_against_the_best_rival_measured():
    target = TARGETS[0]
    case = Result(target.name, "step", "µs", {target.ours: [1.0], target.rivals[0]: [4.0], target.rivals[1]: [2.0]})
    row = judged([case])[0]
    assert (row["rival"], row["ratio"]) == (target.rivals[1], 0.5)


def test_every_target_names_a_case():
    names = {case.name for case in CASES.values()} | {f"mnist {what}" for what in ("whole", "fit", "memory")}
    assert {target.name for target in TARGETS} <= names


@pytest.mark.parametrize("network", [network for network, _ in STEPS[:3]], ids=str)
def test_long_training_on_one_batch_leaves_gradients_and_moments_alive(network):
    trainer = Trainer(network, "by-hand", "cpu", data.weights(network))
    trainer.hold(*data.rows(network, network.batch))
    for _ in range(2_000):
        trainer.step()
    assert trainer.loss() > 0.05
    tiny = np.finfo(np.float32).tiny
    for moment in trainer.first if network.optimizer == "adam" else []:
        assert not np.any((moment != 0.0) & (np.abs(moment) < tiny))


@pytest.mark.parametrize("case", [*GPU_TABLE, *GPU_QUICK], ids=lambda case: f"{case.device} {case.name}")
def test_no_contender_starts_once_the_time_is_spent(case):
    contenders = [
        CONTENDERS[f"{name}:cuda" if case.device == "cuda" else name] for name in ("anynet/torch", "torch/eager")
    ]
    results = measure(case, contenders, Settings(budget=1.0), print, lambda: True)
    assert results and not any(result.samples for result in results)
    for result in results:
        assert result.notes == {contender.name: OVER for contender in contenders}


def test_the_cases_for_gpus_have_all_ways_to_use_pytorch():
    for case in GPU_TABLE:
        names = {name for name, c in CONTENDERS.items() if c.device == case.device and case.kind in c.kinds}
        ways = {f"torch/{way}:cuda" for way in ("eager", "fused", "compile", "graph")}
        assert {"anynet/cupy:cuda", "anynet/torch:cuda", "anynet/torch+compile:cuda", "anynet/jax:cuda", *ways} <= names


def test_the_case_of_a_worker_is_found_by_its_name():
    for case in (*GPU_TABLE, *GPU_QUICK):
        if case.kind != "mnist":
            assert CASES[f"{case.device} {case.name}"] == case


def test_the_time_of_other_processes_is_read_from_linux(tmp_path, monkeypatch):
    stat, ticks = tmp_path / "stat", fitness.os.sysconf("SC_CLK_TCK")
    stat.write_text("cpu  100 0 50 9000 10 1 2 3 0 0\ncpu0 1 2 3\n")
    monkeypatch.setattr(
        fitness.time,
        "sleep",
        lambda seconds: stat.write_text(f"cpu  {100 + ticks} 0 50 9100 10 1 2 {3 + ticks // 2} 0 0\n"),
    )
    assert fitness.others_cores(1.0, stat) == pytest.approx(1.5)
    assert fitness.others_cores(0.0, tmp_path / "absent") is None


@pytest.mark.parametrize(("others", "speedup", "count"), [(0.0, 1.9, 0), (1.0, 1.9, 1), (0.0, 1.1, 1), (None, None, 0)])
def test_a_busy_machine_and_cores_far_apart_are_found(others, speedup, count, monkeypatch):
    monkeypatch.setattr(fitness, "others_cores", lambda seconds: others)
    monkeypatch.setattr(fitness, "two_threads", lambda: speedup)
    monkeypatch.setattr(fitness, "cores", lambda: 2)
    assert len(fitness.check()) == count


def test_two_threads_are_compared_with_one():
    assert 0.1 < fitness.two_threads() < 10.0


def test_a_table_measured_on_an_unfit_machine_says_so():
    machine = {"cpu": "a processor", "cores": 2, "memory_gb": 8, "gpu": None, "system": "Linux", "python": "3"}
    machine |= {"versions": {}, "blas": None, "variables": {}, "load": 0.0}
    results = [Result(name, "step", "µs", {"anynet/numpy": [1.0]}) for name in ("step a", "step b")]
    settings = {"rounds": 1, "seconds": 1.0, "processes": 1}
    page = as_markdown(as_run("today", machine, settings, results, {}, {"step b": ["other processes used 1.0 cores"]}))
    assert "| | a | b ⚠ |" in page and "a processor" in page
    assert "step b: the machine was unfit to measure: other processes used 1.0 cores" in page
