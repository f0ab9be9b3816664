"""Processor time of a training step on one thread: losses, gradients, and both kinds of optimiser.

Run ``python benchmarks/bench_step.py``. The quickstart's models step on one rendered batch, each
kind of optimiser in turns; the spread is from the fastest step to the slowest. The dtype is that of
the config, which is float32 where the CPU has no instructions for bfloat16.
"""

import argparse
import statistics
import time
from collections import defaultdict

import torch
from detectron2.utils.events import EventStorage
from tabulate import tabulate

from vlpt_d2.engine import load_config
from vlpt_d2.engine.step import autocast
from vlpt_d2.engine.trainer import TextTrainer
from vlpt_d2.model_zoo import get_config_file
from vlpt_d2.utils.rng import STEPS, seeded_rng

CONFIGS = ("quickstart/pretrain.yaml", "quickstart/db_rendered.yaml")


def measure(config: str, steps: int) -> list[dict[str, list[float]]]:
    """Milliseconds of the parts of each step, of the plain and of the fused optimiser."""
    cfg = load_config(get_config_file(config), ["MODEL.DEVICE", "cpu", "DATALOADER.NUM_WORKERS", 0])
    model = TextTrainer.build_model(cfg).train()
    optimizer = TextTrainer.build_optimizer(cfg, model)
    batch = next(iter(TextTrainer.build_train_loader(cfg)))
    measured: list[dict[str, list[float]]] = [defaultdict(list), defaultdict(list)]
    with seeded_rng(STEPS, 0), EventStorage():
        for number in range(2 * (steps + 1)):
            for group in optimizer.param_groups:
                group["fused"] = bool(number % 2)
            start = time.process_time()
            with autocast(cfg, cfg.SOLVER.AMP.ENABLED):
                loss = sum(model(batch).values())
            middle = time.process_time()
            loss.backward()
            end = time.process_time()
            optimizer.step()
            times = (middle - start, end - middle, time.process_time() - end)
            optimizer.zero_grad()
            if number > 1:  # the first two are for warming up
                for name, seconds in zip(("losses", "gradients", "optimiser"), times):
                    measured[number % 2][name].append(1e3 * seconds)
                measured[number % 2]["step"].append(1e3 * sum(times))
    return measured


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=5, help="of each kind of optimiser")
    args = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for config in CONFIGS:
        kinds = measure(config, args.steps)
        plain = statistics.median(kinds[0]["step"])
        for name, parts in zip(("plain", "fused"), kinds):
            medians = [statistics.median(values) for values in parts.values()]
            spread = f"{min(parts['step']):.0f} to {max(parts['step']):.0f}"
            rows.append([config, name, *medians, spread, medians[-1] / plain])
    headers = ["config", "optimiser", "losses", "gradients", "update", "step", "spread", "relative"]
    print("milliseconds of the processor")
    print(tabulate(rows, headers, floatfmt=("", "", *(".0f",) * 4, "", ".2f")))


if __name__ == "__main__":
    main()
