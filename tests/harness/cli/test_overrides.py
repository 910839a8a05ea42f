"""Overrides: a typo in any place gets the nearest names before anything runs."""

from __future__ import annotations

import shlex

import pytest

from harness.cli.overrides import check_overrides, given_values, parse_overrides
from harness.util.names import UsageError

CHOICES = {
    "task": lambda: ["cifar10_resnet20"],
    "submission": lambda: ["dense", "magnitude"],
    "targets": lambda: ["cpu", "eie"],
}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("submissio=dense", "Did you mean submission"),
        ("submission=magnitud", "Did you mean magnitude"),
        ("submission=dense,magnitud", "Did you mean magnitude"),
        ("task=cifar10_resnet2", "Did you mean cifar10_resnet20"),
        ("targets=[cpu,eei]", "Did you mean eie"),
        ("targets=[cpu],[cpv]", "Did you mean cpu"),
        ("targets=cpu", r"targets is a list: write 'targets=\[cpu\]'"),
        ("targets.cpu.intra_threads=1", r"options of a target are written target\.NAME\.OPTION"),
        ("effort.quick=1", "effort has a value and no keys below it"),
        ("task.recipe.epohcs=3", "key in task.recipe named 'epohcs'. Did you mean epochs"),
        ("task.recipe.optimiser=adamw", "key in task.recipe named 'optimiser'. Did you mean optimizer"),
        ("dense", "write key=value"),
        ("seed=[1", "cannot be parsed"),
    ],
)
def test_typos(text, message):
    with pytest.raises(UsageError, match=message):
        check_overrides([text], "run", CHOICES)


def test_good_overrides_pass_as_hydra_wants_them():
    good = ["submission=dense,magnitude", "targets=[cpu]", "seed=0,1", "hydra/launcher=joblib"]
    assert check_overrides(good, "run", CHOICES) == good
    opened = ["++params.sparsity=0.5", "++target.cpu.intra_threads=1", "++task.recipe.clip_norm=1.0"]
    assert check_overrides([text[2:] for text in opened], "run", CHOICES) == opened


def test_an_entrys_parameters_may_stand_without_params():
    given = ["sparsity=0.5,0.9", "options.p=2", "seed=1", "params.sparsity=0.1"]
    expected = ["++params.sparsity=0.5,0.9", "++params.options.p=2", "seed=1", "++params.sparsity=0.1"]
    assert check_overrides(given, "run", CHOICES, ["sparsity", "options", "seed"]) == expected
    with pytest.raises(UsageError, match=r"no key named 'sparsty'\. Did you mean sparsity"):
        check_overrides(["sparsty=0.5"], "run", CHOICES, ["sparsity"])


@pytest.mark.parametrize(
    ("texts", "advice"),
    [
        (["targets=[cpu,", "eie]", "seed=1"], "'targets=[cpu, eie]'"),
        (["targets=[cpu"], "'targets=[cpu]'"),
        (["params.options={a:", "1}"], "'params.options={a: 1}'"),
        (["submission_dir=/a", "b/c"], """'submission_dir="/a b/c"'"""),
        (["seed=1", "submission_dir=/a", "b", "c/d"], """'submission_dir="/a b"'"""),
        (["submission_dir=/a (b)/c"], """'submission_dir="/a (b)/c"'"""),
        (["submission_dir=/a [b]"], """'submission_dir="/a [b]"'"""),
        (['submission_dir=/a"b'], """'submission_dir="/a\\"b"'"""),
    ],
)
def test_what_the_shell_or_hydra_takes_apart_is_told_how_to_quote(texts, advice):
    with pytest.raises(UsageError) as caught:
        check_overrides(texts, "run", CHOICES)
    assert advice in str(caught.value)
    [told] = shlex.split(advice)
    assert parse_overrides([told])  # what is told works


def test_values_are_read_without_their_quotes():
    parsed = parse_overrides(['submission_dir="/my dir (x)"', "submission=a,b", "targets=[cpu]"])
    assert given_values(parsed, "submission_dir") == ["/my dir (x)"]
    assert given_values(parsed, "submission") == ["a", "b"] and given_values(parsed, "seed") == []
