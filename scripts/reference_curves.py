#!/usr/bin/env python3
"""Writes gle_bench/report/figures/reference.csv: the mean curves of the authors' released runs, which figures overlay.

Call it with the folder of their single curves: mnist1d_gle_curves.csv, mnist1d_baseline_curves.csv, gsc_gle_curves.csv.
"""

import sys
from pathlib import Path

import pandas as pd

from gle_bench.report.figures.figure8 import COLUMNS, PATH, SOURCE

MODELS = {  # names of models here, by their names in the release
    "gle_15k": "gle-15k",
    "gle_42k": "gle-42k",
    "lagnet_le": "lagnet-le",
    "mlp": "mlp-0",
    "mlp_super": "mlp-published",
    "cnn": "tcn-0",
    "cnn_super": "tcn",
    "gru": "gru-0",
    "gru_super": "gru",
}
UPDATES_AN_EPOCH = 40  # updates of the baselines on MNIST-1D in an epoch: 4,000 samples in batches of 100


def main() -> None:
    folder = Path(sys.argv[1])
    online = pd.read_csv(folder / "mnist1d_gle_curves.csv")
    offline = pd.read_csv(folder / "mnist1d_baseline_curves.csv")
    offline["epoch"] = offline["update"] / UPDATES_AN_EPOCH
    mnist1d = pd.concat([online, offline]).assign(task="mnist1d", split="test")
    mnist1d["model"] = mnist1d["model"].map(MODELS)
    gsc = pd.read_csv(folder / "gsc_gle_curves.csv").rename(columns={"validation_accuracy": "accuracy"})
    curves = pd.concat([mnist1d, gsc.assign(task="gsc", model="gle", split="validation")])
    with PATH.open("w", encoding="utf-8") as file:
        file.write(f"# {SOURCE}\n")
        means(curves).to_csv(file, index=False, lineterminator="\n")
    print(f"{PATH}: {PATH.stat().st_size} bytes")


def means(curves: pd.DataFrame) -> pd.DataFrame:
    """The mean and the sample standard deviation at each epoch that all seeds of a model have."""
    together = curves.groupby(["task", "model", "split", "epoch"])["accuracy"].agg(["mean", "std", "count"])
    seeds = curves.groupby(["task", "model"])["seed"].nunique().rename("seeds")
    epochs = together.reset_index().merge(seeds.reset_index(), on=["task", "model"])
    complete = epochs[epochs["count"] == epochs["seeds"]].rename(columns={"std": "sd", "count": "n"})
    return complete[list(COLUMNS)].round(4)


if __name__ == "__main__":
    main()
