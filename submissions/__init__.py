"""One folder a submission; the harness finds them by their `submission.py`."""
