"""Run the searches behind docs/results/search.md, several seeds of each, and write that page.

    python scripts/evidence.py                            everything that is missing
    python scripts/evidence.py --minutes 120              start nothing new after two hours
    python scripts/evidence.py --rows main,free --seeds 5,6,7 --datasets cifar10
    python scripts/evidence.py --jobs 2                   two searches at a time
    python scripts/evidence.py --page-only

The plan is supernet/studies/evidence/plan.py. Interrupted, the same command goes on; runs
that evidence.json has are not made again.
"""

import argparse

from supernet import cli
from supernet.flags import add_config_flags, given_flags
from supernet.studies.evidence.config import EvidenceConfig


def main() -> None:
    """Parse, run, print."""
    config = EvidenceConfig(**given_flags(_parser().parse_args(), EvidenceConfig))

    # After the flags are known to be good: reading figures' names imports matplotlib.
    from supernet.studies.evidence.run import make_evidence

    print(f"written to {make_evidence(config)}")


def _parser() -> argparse.ArgumentParser:
    parser = cli.argument_parser(__doc__)
    add_config_flags(parser, EvidenceConfig)
    return parser
