from __future__ import annotations

from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest

from piecewise.errors import BadInput
from piecewise.jobs.about import experiments, read_about
from piecewise.jobs.expectations import expectations
from piecewise.jobs.job import Job
from piecewise.planning.expected import check_expectations
from piecewise.planning.plan import plan_experiment

Plan = Callable[..., list[Job]]
ROOT = Path(__file__).parents[2]


def test_command_line_is_frozen_to_one_job(plan: Plan) -> None:
    (job,) = plan("experiment=mnist_cnn", "optimizer=adamw", "optimizer.lr=3e-3", "trainer.max_epochs=2")
    assert (job.name, job.label) == ("mnist_cnn", "optimizer=adamw,optimizer.lr=3e-3,trainer.max_epochs=2")
    assert job.overrides == ("experiment=mnist_cnn", "optimizer=adamw", "optimizer.lr=3e-3", "trainer.max_epochs=2")
    assert job.frozen["optimizer"]["_target_"] == "torch.optim.AdamW"
    assert (job.frozen["optimizer"]["lr"], job.frozen["trainer"]["max_epochs"]) == (3e-3, 2)
    assert job.frozen["scheduler"]["max_lr"] == 3e-3  # interpolations are resolved


def test_multirun_is_the_product_of_its_values(plan: Plan) -> None:
    jobs = plan("-m", "experiment=shallow_regression", "model.width=4,16", "seed=0,1")
    found = [(job.frozen["model"]["width"], job.frozen["seed"]) for job in jobs]
    assert found == list(product([4, 16], [0, 1]))
    assert len({job.digest for job in jobs}) == 4


def test_experiment_has_the_jobs_that_hydra_sweeps(plan: Plan) -> None:
    swept = plan("-m", "experiment=shallow_regression")
    planned = plan_experiment(ROOT / "conf", "shallow_regression")
    assert [(job.label, job.digest) for job in planned] == [(job.label, job.digest) for job in swept]
    assert planned[4].overrides == ("model.width=20", "seed=1", "experiment=shallow_regression")
    assert plan(*planned[4].overrides)[0].digest == planned[4].digest
    assert plan(*swept[4].overrides)[0].digest == planned[4].digest


def test_gradient_descent_takes_all_examples_by_default(plan: Plan) -> None:
    assert plan("data=line", "optimizer=gd")[0].frozen["batch_size"] == "all"
    assert plan("data=line", "optimizer=gd", "batch_size=10")[0].frozen["batch_size"] == 10


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["model=shalow"], r"model=shalow does not exist; did you mean 'shallow'\? allowed: cnn, gabor, linear, mlp, "),
        (
            ["model.wdth=3"],
            r"model\.wdth=3 is no option; did you mean 'width'\? allowed: activation, init, init_variance, width",
        ),
        (
            ["optimizer=adam", "optimizer.momentum=0.5"],
            r"is no option; allowed: betas, lr; momentum belongs to optimizer=momentum, optimizer=nesterov",
        ),
        (["sed=3"], r"sed=3 is no option; did you mean 'seed'\?"),
        (["experimnt=x"], "experimnt=x is no option"),
        (["model"], "model cannot be read; allowed: KEY=VALUE"),
        (["optimizer.lr=é"], "optimizer.lr=é cannot be read"),
        (["optimizer.lr=[1"], "cannot be read; allowed: KEY=VALUE, with quotes"),
        (
            ["model=null"],
            r"model=null is no option of model; allowed: cnn, gabor, linear, mlp, residual, resnet, shallow",
        ),
        (["scheduler=null"], r"did you mean 'none'\?"),
        (["optimizer=adamw", "optimizer.betas=[0.9]"], r"optimizer\.betas=\[0\.9\] must be a longer list"),
        (["+model.foo=3"], r"model\.foo=3 is no option of Shallow; allowed: activation, init, init_variance, width"),
        (["model.width=0"], r"model\.width=0 must be a whole number of at least 1"),
        (["model.width=2.5"], r"model\.width=2\.5 must be a valid integer"),
        (["model.activation=relo"], "did you mean 'relu'"),
        (["optimizer.lr=abc"], r"optimizer\.lr='abc'"),
        (["optimizer.lr=nan"], r"optimizer\.lr=nan must be a finite number"),
        (["optimizer.lr=inf"], r"optimizer\.lr=inf must be a finite number"),
        (["optimizer.lr=-1"], "Invalid learning rate: -1"),
        (["seed=1.5"], "seed"),
        (["~seed"], "seed is missing: it has no default here"),
        (["~early_stopping"], "early_stopping is missing"),
        (["data.folder='a\nb'"], r"'a\\nb'\" has a control character; allowed: letters, digits, signs and spaces"),
        (["data.folder='\udcff'"], "has a control character"),
        (["batch_size=0"], "batch_size=0"),
        (["batch_size=361"], "from 1 to the 360 training examples"),
        (["early_stopping.patience=0"], r"early_stopping\.patience=0 must be at least 1"),
        (["early_stopping.patience=soon"], "patience"),
        (["early_stopping.min_delta=0.1"], r"min_delta=0\.1 must be 0 without early_stopping\.patience"),
        (["trainer.max_epochs=-1"], r"trainer\.max_epochs=-1"),
        (["+trainer.logger=true"], r"trainer\.logger=True is no option"),
        (["seed=100000000000000000000"], r"seed=1"),
        (["model._target_=torch.nn.Linear"], r"model\.width=3 is no option of Linear; allowed: bias, "),
        (["data.folder='/tmp/${oc.env:HOME}/x'"], "depends on the machine"),
        (
            ["model._target_=piecewise.losses.bernoulli.Bernoulli"],
            "is a loss",
        ),
        (["select=worst"], "select='worst' must be best or last"),
        (["data.val_fraction=0"], r"data\.val_fraction=0"),
        (["data.max_shift=1"], r"data\.max_shift=1 is no option"),
        (["+data.max_shift=1"], r"data\.max_shift=1 moves images"),
        (["data=csv", "data.path=/nowhere.csv", "data.target=y"], "nowhere.csv does not exist"),
        (["data=csv"], r"data\.path is missing"),
        (
            ["scheduler=step", "trainer.max_epochs=5"],
            r"scheduler\.step_size=10 is longer than the training, .* 5 epochs",
        ),
        (["scheduler=onecycle", "+scheduler.total_steps=7"], r"scheduler\.total_steps=7 ends before the training"),
        (["scheduler=warmup", "scheduler.total_iters=0"], r"scheduler\.total_iters=0 must be at least 1 step"),
        (["scheduler=step", "scheduler.step_size=0"], r"scheduler\.step_size=0 must be at least 1 epoch"),
        (["scheduler=cosine", "+scheduler.T_max=0"], r"scheduler\.T_max=0 must be at least 1 step"),
        (["scheduler=onecycle", "scheduler.pct_start=1.0"], r"scheduler\.pct_start=1\.0, .*ZeroDivisionError"),
        (
            ["trainer.max_steps=5"],
            r"trainer\.max_steps=5 is not in the job; allowed: \+trainer\.max_steps=5, which adds",
        ),
        (["optimizer.eps=0.01"], r"optimizer\.eps=0\.01 is not in the job; allowed: \+optimizer\.eps=0\.01"),
        (["model.num_inputs=3"], r"model\.num_inputs=3 is no option; allowed: "),
        (["scheduler=cosine", "+scheduler.T_max=9999"], r"scheduler\.T_max=9999 is longer than the training"),
        (["optimizer.lr=[0.1]"], r"optimizer\.lr=\[0\.1\] must be a valid number"),
        (["optimizer.lr=-1.0"], r"optimizer\.lr=-1\.0, .*ValueError: Invalid learning rate"),
        (
            ["optimizer._target_=torch.optim.Muon", "~optimizer.betas"],
            r"^optimizer\._target_='torch\.optim\.Muon', optimizer\.lr=0\.001: ValueError: Muon only supports 2D",
        ),
        (["scheduler=onecycle", "scheduler.pct_start=[3]"], r"scheduler\.pct_start=\[3\]"),
        (["tracking.uri=https://me:hush@host"], "credentials"),
        (["tracking.uri=./mlruns"], r"tracking\.uri='\./mlruns' is no store; allowed: http, https, sqlite"),
        (["log_every_n_steps=0"], "log_every_n_steps=0"),
        (["+model.activation._target_=os.system"], "model"),
        (["+trainer.plugins=[{_target_: os.system}]"], r"trainer\.plugins\[0\]\._target_='os\.system' is not allowed"),
        (["+model._args_=[3]"], r"_args_"),
        (["loss.sigma=0"], r"loss\.sigma=0"),
        (["model._target_=os.system"], r"model\._target_='os\.system' is not allowed"),
        (["+scheduler.interval=day", "scheduler=step"], "interval"),
        (["seed=${oc.env:HOME}"], "seed"),
        (["+trainer.max_epoch=9"], r"did you mean 'max_epochs'"),
    ],
)
def test_bad_configuration_is_refused_by_name(plan: Plan, arguments: list[str], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        plan(*arguments)


def test_spelling_of_a_number_does_not_change_the_job(plan: Plan) -> None:
    written = ["optimizer.lr=1", "optimizer.lr=1.0", "optimizer.lr=1e0"]
    assert len({plan(item, "optimizer=sgd", "loss.sigma=1")[0].digest for item in written}) == 1
    assert plan("optimizer=sgd", "optimizer.lr=1")[0].digest != plan("optimizer=sgd", "optimizer.lr=2")[0].digest


def test_every_job_of_a_sweep_is_checked_before_any_starts(plan: Plan) -> None:
    with pytest.raises(BadInput, match=r"model\.width=0"):
        plan("-m", "model.width=3,0")


def test_a_value_that_depends_on_the_machine_is_refused(plan: Plan) -> None:
    with pytest.raises(BadInput, match="depends on the machine or the moment"):
        plan("model.activation='${oc.env:HOME}'")


DATA_KINDS = {"line": "real", "curve_1d": "real", "binary_1d": "binary", "mnist1d": "class", "mnist": "class"}
LOSS_KINDS = {"squared_error": "real", "bernoulli": "binary", "categorical": "class"}


@pytest.mark.parametrize(("data", "loss"), list(product(DATA_KINDS, LOSS_KINDS)))
def test_data_model_and_loss_that_do_not_fit_are_refused_by_name(plan: Plan, data: str, loss: str) -> None:
    fits = DATA_KINDS[data] == LOSS_KINDS[loss]
    for model in ("linear", "shallow", "mlp", "cnn") if fits else ("mlp",):
        if fits and (model != "cnn" or data == "mnist"):
            assert plan(f"data={data}", f"model={model}", f"loss={loss}")[0].name == f"{data}-{model}"
        else:
            with pytest.raises(BadInput, match=f"data={data}" if not fits else "model=cnn needs images"):
                plan(f"data={data}", f"model={model}", f"loss={loss}")


@pytest.mark.parametrize("experiment", experiments(ROOT / "conf"))
def test_shipped_experiment_composes_and_has_expectations_that_can_be_decided(experiment: str) -> None:
    jobs = plan_experiment(ROOT / "conf", experiment)
    about = read_about(ROOT / "conf", experiment)
    check_expectations(expectations(about), jobs)
    assert len({job.digest for job in jobs}) == len(jobs) >= 1
    assert set(about) == {"question", "source", "command", "expected", "seconds"}
    assert experiment in about["command"]
    assert all({"at_least", "at_most"} & set(expected) and expected["metric"] for expected in about["expected"])


def test_a_secret_in_an_address_is_not_printed(plan: Plan) -> None:
    with pytest.raises(BadInput) as refused:
        plan("tracking.uri=https://me:hush@host")
    assert "hush" not in str(refused.value)
