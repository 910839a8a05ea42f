"""How this harness exports and measures, as one number: figures of different methodologies are not ranked together.

1: biases that the exporter added were computed at run time, which kept a runtime from fusing convolution,
   batch norm and activation; the dense network was up to 3.7 times too slow, so speed-ups against it are
   too high. Intervals of latency percentiles left out how the rounds differ.
2: what is exported holds no constant that a runtime has to compute, integers run as integers, and
   intervals carry the spread between the rounds.

Raise it with any change of the export, of the dense baseline or of the measuring after which the same
network on the same machine gets another latency, throughput or speed-up. A change of the counts, a new
quantity or a faster harness is no reason. `harness.views.comparable` says in a sentence what was wrong before.
Decision 017.
"""

METHODOLOGY = 2
