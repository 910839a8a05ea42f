"""Says that its parameters make no sense."""

from harness.contract import ParameterError


class Submission:
    def compress(self, model, context):
        raise ParameterError("sparsity=1.5 removes more than there is; choose one below 1.")
