"""Never comes back, and leaves a child behind that would not either."""

import subprocess
import time


class Submission:
    def compress(self, model, context):
        child = subprocess.Popen(["sleep", "3600"])
        (context.workdir / "child").write_text(str(child.pid))
        print(f"child {child.pid}", flush=True)
        time.sleep(3600)
