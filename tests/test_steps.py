"""The trail of a run: the true loss of every step, however training is written."""

import json
import shutil

import forks
import pytest
from fresh import SCRIPTS
from projects import records, shell

from repro_keras._src import record

TRUE_LOSSES = (
    "fit",
    "two fits",
    "eager fit",
    "mixed precision",
    "accumulation",
    "gan",
    "train_on_batch",
    "eager loop",
    "graph loop",
    "compiled loop",
    "functions in turns",
    "saved loop",
    "variables",
)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [*TRUE_LOSSES, "steps_per_execution", "loop in a graph"])
def test_the_true_loss_of_every_step_is_recorded(kind, tmp_path):
    shutil.copy(SCRIPTS / "loops.py", tmp_path)
    result = shell("run", "loops.py", kind, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    (path,) = records(tmp_path)
    run = record.read(path).predicate
    losses = [loss for segment in run.trail for loss in segment.steps.loss]
    said = json.loads(result.stdout.splitlines()[-1])
    if kind in TRUE_LOSSES:
        assert losses == said["losses"]
    else:
        assert len(losses) == {"steps_per_execution": 48, "loop in a graph": 10000}[kind]
        assert None not in losses
    assert not any(segment.lost for segment in run.trail)
    assert [model.name for model in run.models] != []
    rates = {rate for segment in run.trail for rate in segment.steps.learning_rate}
    assert len(rates) > 2 if kind.endswith((" loop", "in turns")) else len(rates) <= 2
    # Recording changes nothing.
    assert forks.run_json("loops.py", kind) == said
    if kind in ("gan", "graph loop", "steps_per_execution", "loop in a graph"):
        assert shell("verify", "--yes", cwd=tmp_path).returncode == 0
