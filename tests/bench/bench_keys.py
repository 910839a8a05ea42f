"""What keys cost a run that finds everything finished: in a new process, parsed before or not.

The keys are those of `openprune run` for the largest submission on all targets. The limit is on those
of a process that finds its sources parsed, which is every one but the first after a change.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile

ROUNDS = 7
LIMIT_S = 0.3
KEYS = """
from harness.entries.loading import load_submission
from harness.tasks import load_task
from hw_targets.registry import make_target, target_names
task, entry = load_task("cifar10_resnet20"), load_submission("compose")
targets = [make_target(name) for name in target_names()]
import time
began = time.process_time()
from harness.store.keys import compress_key, reference_key, target_keys
for _ in range(2):  # a run asks for each twice
    reference_key(task, "weights")
    compress_key(task, "weights", entry, 0)
    for target in targets:
        target_keys(task, target, model="model", dense="dense", effort="quick", repeat=0)
print(time.process_time() - began)
"""


def seconds(cache: str) -> float:
    """Processor time to import `harness.store.keys` and make all keys of a run, in a new process."""
    environment = {**os.environ, "OPENPRUNE_DATA": cache}
    done = subprocess.run([sys.executable, "-c", KEYS], env=environment, check=True, capture_output=True, text=True)
    return float(done.stdout)


def main() -> int:
    """Print medians; 1 where keys take longer than the limit."""
    first, later = [], []
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as cache:
            first.append(seconds(cache))
            later.append(seconds(cache))
    print(f"first run after a change of everything {statistics.median(first):6.3f} s")
    print(f"every other run                        {statistics.median(later):6.3f} s (limit {LIMIT_S} s)")
    return int(statistics.median(later) > LIMIT_S)


if __name__ == "__main__":
    sys.exit(main())
