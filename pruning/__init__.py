"""Pruning techniques: what to remove, and how to recover.

A pipeline is four choices that do not depend on one another, and what comes after. These are the public
names; each is loaded when it is first asked for (`from pruning import Magnitude, make_mask`).

in one call: a network in, a pruned one out, and what was left as it is
    Pruned, prune_filters, prune_n_m

masks: which weights are kept
    Mask, fitting_layers, make_mask, mask_rule, weight_layers, weight_names

criteria: how much a weight matters
    APoZ, BatchNormScale, Criterion, FeatureMap, Magnitude, OptimalBrainDamage, Random, Regression,
    Relevance, Snip, Taylor, reconstruct

granularities: what is pruned together
    NM, Block, Channel, Element, Filter, Granularity, Heads, Kernel, KernelPatterns, LoadBalanced,
    Pattern, Vector

ratios: how much is pruned, and in which layer
    Global, PerLayer, Problem, Ratio, Uniform, allocate_amc, allocate_erk, allocate_netadapt,
    allocate_sensitivity

schedules: in how many steps
    gradual, iterative, lottery, one_shot, rigl, remove_dead_neurons

recovery: how the accuracy comes back
    Regularised, distil, fine_tune

shrinking: what was pruned whole, taken out for good
    Shrinkable, Trace, attention_blocks, block_importance, coupled, fold, from_channels, head_mask,
    hidden_layers, joined_filters, joint_mask, left_over, linearise, prunable_filters,
    removable_blocks, remove_blocks, shrink, shrink_heads, shrink_hidden, with_prelu

quantising: fewer bits for each weight kept
    MinMax, Percentile, carried_over, floats_left, freeze, layers_in_floats, prepare,
    quantise_aware, share_weights, to_dynamic_int8, to_int8

all of it by name
    Choices

`make_mask` composes criterion, granularity and ratio into a `Mask`; a schedule calls it and recovers. Each
choice is one small file with one line in the table of its package; `pruning.choices` and
`pruning.pipeline` put them together by name. The names stand in `__init__.pyi`, which type checkers read too.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
