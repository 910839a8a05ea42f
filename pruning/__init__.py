"""Pruning techniques: what to remove, and how to recover.

A pipeline is four choices that do not depend on one another, and a recovery:

    criterion    how much a weight matters             pruning.criteria
    granularity  what falls together                   pruning.granularity
    ratio        how many fall, and in which layer     pruning.ratios
    schedule     in how many steps                     pruning.schedules
    recovery     how the accuracy comes back           pruning.recovery

`pruning.prune.make_mask` composes the first three into a `pruning.mask.Mask`; a schedule calls it
and recovers; `pruning.shrink` takes masked filters, heads and whole blocks out for good, and
`pruning.quantise` stores in fewer bits what is left. Each choice is one small file with one line in
the table of its package; `pruning.pipeline` puts them together by name.
"""
