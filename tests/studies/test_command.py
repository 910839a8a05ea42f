"""`openprune study`, as it is typed."""

import json
import shutil
from pathlib import Path

import pytest

from harness.cli.main import main
from harness.tasks import load_task
from harness.util.names import UnknownNameError, UsageError
from studies import MACHINES, STUDIES, find_study
from studies.command import default_seeds
from studies.settings import chosen

SHIPPED = Path(__file__).parents[2] / "results" / "studies"


def test_the_list_names_each_study_and_what_it_took(tmp_path, capsys):
    assert main(["study", "--output", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    listed = STUDIES | MACHINES
    assert all(name in out and shows in out for name, shows in listed.items())
    assert out.count("not run yet") == len(listed)


def test_a_study_is_run_listed_and_drawn_anew(tmp_path, capsys):
    words = ["study", "frontier", "task=digits_mlp", "--output", str(tmp_path), "seeds=[0]"]
    words += ["epochs=1", "compressions=[4]", "pipelines=[gradual]", "--store", str(tmp_path / "store")]
    assert main([*words, "--plan"]) == 0
    planned = capsys.readouterr().out
    assert "pipeline gradual, compression 4, seed 0" in planned and "Still to be run: 1" in planned
    assert main(words) == 0
    assert "At 4× fewer weights, gradual (the only pipeline tried)" in capsys.readouterr().out
    assert main(["study", "--output", str(tmp_path)]) == 0
    assert "digits_mlp: 0.0 min, cells: 1" in capsys.readouterr().out
    page = tmp_path / "README.md"
    assert "(frontier/digits_mlp/plot.svg)" in page.read_text()
    page.unlink()
    assert main([*words[:5], "--redraw"]) == 0
    assert "plot.svg" in capsys.readouterr().out and page.exists()


def test_all_results_are_drawn_anew_at_once(tmp_path, capsys):
    for name in ("bits/mnist_lenet300", "eie/paper_layers"):
        shutil.copytree(SHIPPED / name, tmp_path / name)
    record = tmp_path / "bits" / "mnist_lenet300" / "result.json"
    facts = json.loads(record.read_text())
    record.write_text(json.dumps({**facts, "findings": ["By the rules of yesterday.", *facts["findings"][1:]]}))
    (tmp_path / "eie" / "paper_layers" / "tables.md").write_text("of yesterday")
    assert main(["study", "--redraw", "--output", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert f"{record}: changed\n- {facts['findings'][0]}\n" in said
    assert "paper_layers/result.json: as it was" in said
    for file in ("bits/mnist_lenet300/result.json", "eie/paper_layers/result.json", "eie/paper_layers/tables.md"):
        assert (tmp_path / file).read_text() == (SHIPPED / file).read_text()
    assert "(bits/mnist_lenet300/plot.svg)" in (tmp_path / "README.md").read_text()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["study", "lotery"], "Did you mean lottery"),
        (["study", "lottery", "epoch=3"], "Did you mean epochs?"),
        (["study", "lottery", "epochs"], "'epochs' is no override; write key=value"),
        (["study", "lottery", "epochs=many"], "epochs takes a value of type int"),
        (["study", "lottery", "epochs=true"], "epochs takes a value of type int"),
        (["study", "lottery", "epochs=[1"], "A bracket is open"),
        (["study", "lottery", "epochs=1", "epochs=2"], "epochs is set twice"),
        (["study", "lottery", "+epochs=1"], "write epochs=VALUE"),
        (["study", "lottery", "ratios=0.9"], "ratios takes a list: write 'ratios=[0.9]'"),
        (["study", "lottery", "ratios=[]"], "name at least one value"),
        (["study", "lottery", "ratios=[half]"], "ratios takes a value of type float"),
        (["study", "lottery", "seeds=[one]"], "seeds takes a value of type int"),
        (["study", "lottery", "seeds=[-1]"], "whole numbers, 0 or more"),
        (["study", "lottery", "seeds=[1,1]"], "1 is named twice"),
        (["study", "lottery", "seeds=0,1"], "write 'seeds=[0,1]'"),
        (["study", "task=digits_mlp"], "name the study first"),
        (["study", "eie", "task=digits_mlp"], "has no settings"),
        (["study", "lottery", "--set", "epochs=3"], "openprune study lottery epochs=3"),
        (["study", "lottery", "--seeds", "0,1"], "openprune study lottery 'seeds=[0,1]'"),
        (["study", "lottery", "--task", "digits_mlp", "--seeds", "0"], "study lottery task=digits_mlp 'seeds=[0]'"),
        (["study", "lottery", "--threads", "0"], "1 or more"),
        (["study", "lottery", "--max", "-1"], "0 or more"),
        (
            ["study", "speed", "task=digits_mlp", "tries=0"],
            "does not run with tries=0: tries is a number",
        ),
        (["study", "bits", "task=digits_mlp", "bits=[9]", "--max", "1"], "takes 1 to 8 bits"),
        (["study", "lottery", "--redraw", "--output", "nowhere"], "run the study first"),
        (["study", "eie", "--redraw", "--output", "nowhere"], "run the study first"),
        (["study", "--redraw", "--output", "nowhere"], "run a study first"),
        (["study", "lottery", "task=mnist_lenet301"], "Did you mean mnist_lenet300"),
    ],
)
def test_wrong_usage_is_answered_with_what_to_write(words, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    assert said in capsys.readouterr().err


def test_settings_are_of_the_kind_of_their_defaults():
    study = find_study("frontier")
    read = chosen(study, ["task=digits_mlp", "learning_rate_factor=1", "compressions=[4,8.5]", "seeds=[2]"])
    assert (read.task, read.seeds) == ("digits_mlp", [2])
    assert read.settings["learning_rate_factor"] == 1.0 and read.settings["epochs"] == study.settings["epochs"]
    assert study.settings_for("mnist_lenet300")["epochs"] != study.settings_for("cifar10_resnet20")["epochs"]
    with pytest.raises(UsageError, match="type int, such as"):
        chosen(study, ["task=digits_mlp", "epochs=1.5"])
    with pytest.raises(UnknownNameError, match="frontier"):
        find_study("fronteer")


def test_small_tasks_have_three_seeds_and_large_ones_one():
    assert default_seeds(load_task("mnist_lenet300")) == [0, 1, 2]
    assert default_seeds(load_task("cifar10_resnet20")) == [0]
