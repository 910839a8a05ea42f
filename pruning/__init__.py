"""Pruning techniques: what to remove, and how to recover.

A pipeline is four choices that do not depend on one another, and what comes after:

    criterion    how much a weight matters             pruning.criteria
    granularity  what falls together                   pruning.granularity
    ratio        how many fall, and in which layer     pruning.ratios
    schedule     in how many steps                     pruning.schedules

    recovery     how the accuracy comes back           pruning.recovery
    shrinking    what was removed whole, out for good  pruning.shrink
    quantising   fewer bits for each weight left       pruning.quantise

`pruning.prune.make_mask` composes the first three into a `pruning.mask.Mask`; a schedule calls it
and recovers. Each choice is one small file with one line in the table of its package;
`pruning.choices` and `pruning.pipeline` put them together by name. `pruning.layers` says which
weights there are to prune, `pruning.names` finds what was misspelt.
"""
