"""The page on scaling: from 1 to 256 chips, and what the study of 25 models costs.

    python benchmarks/scaling.py [--write] [--products=0.1] [--traffic=0.5] [--start=5e-6] [--links=0.5]
        [--price_v5e=PRICE] [--price_h100=PRICE] [--price_cores=PRICE]
    python benchmarks/scaling.py --measure

Prints the page, or writes `docs/scaling.md`; nothing on it is typed by hand that a table shows. It stands on
`docs/results/scaling.json`, which `--measure` writes (under two minutes on free cores), on the record of the MNIST run
in `docs/results/metrics-mnist.jsonl`, on the traffic in `docs/performance.md`, and on the figures and formulas of `scaling_model.py`. Prices are those of one
chip, or of two cores, an hour.
"""

import argparse
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))

import scaling_model as model
import scaling_page

RESULTS = ROOT / "docs" / "results"


def main() -> None:
    """Prints or writes the page, or measures."""
    arguments = parsed()
    if arguments.measure:
        write_measured(RESULTS / "scaling.json")
        return
    assumed = model.Assumed(arguments.products, arguments.traffic, arguments.start, arguments.links)
    prices = {name: getattr(arguments, f"price_{name}") for name in (*model.CHIPS, "cores")}
    text = scaling_page.page(RESULTS, assumed, prices)
    if arguments.write:
        (ROOT / "docs" / "scaling.md").write_text(text)
    else:
        sys.stdout.write(text)


def parsed() -> argparse.Namespace:
    """The flags; what makes no sense is refused in one line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0], allow_abbrev=False)
    parser.add_argument("--write", action="store_true", help="write docs/scaling.md")
    parser.add_argument("--measure", action="store_true", help="write docs/results/scaling.json")
    for name, value in model.Assumed()._asdict().items():
        parser.add_argument(f"--{name}", type=float, default=value, help="assumed; see scaling_model.py")
    for name in (*model.CHIPS, "cores"):
        parser.add_argument(f"--price_{name}", type=float, help="an hour")
    arguments = parser.parse_args()
    for name in model.Assumed._fields:
        value = getattr(arguments, name)
        if not 0 < value <= 1:
            parser.exit(2, f"scaling.py: --{name}={value}; give a number above 0, at most 1\n")
    return arguments


def write_measured(path: Path) -> None:
    """Counts a step, times the small ones, and stores both."""
    import jax
    import scaling_measured

    from dood_jax.training import checkpoint, parallel
    from dood_jax.training.config import default_config, resolve

    about = {"device": parallel.device_name(), "jax": jax.__version__, "commit": checkpoint.commit()}
    found = {
        **about,
        "simulated_batch": scaling_measured.BATCH_SIZE,
        "simulated": scaling_measured.simulated(),
        "counted": scaling_measured.counts(resolve(default_config())),
    }
    path.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
