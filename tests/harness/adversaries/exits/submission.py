"""Tries to end the process as if all were well."""

import os


class Submission:
    def compress(self, model, context):
        os._exit(0)
