"""EIE, the efficient inference engine for compressed networks (Han et al., ISCA 2016), simulated exactly."""

from hw_targets.eie.config import EieConfig
from hw_targets.eie.layer import EieLayer, EieLayerResult, simulate_layer

__all__ = ["EieConfig", "EieLayer", "EieLayerResult", "simulate_layer"]
