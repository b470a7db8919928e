"""The part of seeds.py that runs inside Django: `manage.py shell -c`, SEEDS in the environment."""

import json
import os
from pathlib import Path

from django.conf import settings
from django.core.management import call_command

from tests.faults.simulation import laboratory


def main() -> None:
    """Run the seeds, one line of JSON at the end."""
    first, last, step = json.loads(os.environ["SEEDS"])
    call_command("migrate", verbosity=0)
    told = {"events": 0, "deaths": 0, "steps": 0}
    red = []
    with laboratory(Path(settings.LOCAL_DIR)) as lab:
        for seed in range(first, last, step):
            run = lab.simulate(seed)
            for name in told:
                told[name] += getattr(run, name)
            if run.findings:
                red.append([seed, run.findings[:5]])
    print(json.dumps(told | {"red": red}))
