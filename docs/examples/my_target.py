"""A target of one's own: it counts the bytes that a memory bus has to move for the weights."""

from hw_targets.target import Available, Measurement, Quantity


class Target:
    """Weights over a bus of a given width, each once an inference."""

    name = "my_target"

    def __init__(self, bytes_per_s=1e9):
        self.bytes_per_s = bytes_per_s

    def configuration(self):
        return {"bytes_per_s": self.bytes_per_s}

    def availability(self):
        return Available("a model, on any machine")

    def numerics(self, model, calibration):
        return model  # judged as it is stored

    def measure(self, model, dense, samples, effort, workdir):
        def seconds(graph):
            return sum(len(tensor.raw_data) for tensor in graph.graph.initializer) / self.bytes_per_s

        source = "bytes of the file's tensors over the bus's bandwidth"
        ours, theirs = seconds(model), seconds(dense)
        return Measurement(
            {
                "latency_p50_ns": Quantity(ours * 1e9, "ns", "modelled", source),
                "speedup_vs_dense": Quantity(theirs / ours, "1", "modelled", source),
            }
        )
