"""The page on scaling: from 1 to 256 chips, and what the study of 25 models costs.

    python benchmarks/scaling.py [--write] [--products=0.1] [--traffic=0.5] [--start=5e-6] [--links=0.5]
        [--price_v5e=PRICE] [--price_h100=PRICE] [--price_cores=PRICE]

Prints the page, or writes `docs/scaling.md`; no number in a table is typed by hand. It stands on
`docs/results/scaling.json` (see `scaling_measured.py`), the record of the MNIST run in
`docs/results/metrics-mnist.jsonl`, the traffic in `docs/performance.md`, and the figures and equations of
`scaling_model.py`. Prices are those of one chip, or of two cores, an hour.
"""

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))

import scaling_model as model
import scaling_page

RESULTS = ROOT / "docs" / "results"


def main() -> None:
    """Prints or writes the page."""
    arguments = parsed()
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


if __name__ == "__main__":
    main()
