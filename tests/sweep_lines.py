"""Generated arguments of `piecewise train -m`: most are legal, and some are not."""

from __future__ import annotations

from itertools import product
from random import Random

from piecewise.jobs.about import options
from piecewise.project import Project

# The options of each group, one or several, in Hydra's grammar.
GROUPS = {
    "model": [
        *("linear", "shallow", "mlp", "shallow,mlp", "mlp,shallow,linear", "choice(mlp,residual)", "sort(mlp,linear)"),
        *("shuffle(linear,mlp,shallow)", "tag(wide,choice(mlp,linear))", "glob(s*)", "glob([m*,l*],exclude=lin*)"),
    ],
    "optimizer": ["adam", "sgd", "adam,sgd", "momentum", "gd,adam", "'adamw'", '"sgd"', "glob(ad*)", "choice(sgd)"],
    "scheduler": ["none", "cosine", "none,onecycle", "onecycle", "step", "warmup,cosine"],
    "data": ["curve_1d", "line", "line,curve_1d", "two_modes"],
    "loss": ["squared_error", "laplace", "squared_error,laplace"],
    "trainer": ["default", "smoke", "cpu,default"],
    "tracking": ["none", "embedded", "none,embedded"],
    "executor": ["inline", "pool"],
    "experiment": ["swept", "least_squares", "chapter/heir", "swept,chapter/heir", "glob(chapter/*)"],
}
VALUES = {
    "seed": [
        *(
            "3",
            "0,1",
            "range(0,3)",
            "sort(3,1,2)",
            "sort(range(0,3),reverse=true)",
            "shuffle(range(0,3))",
            "int(1.5,2.5)",
        ),
        *("choice(1,2)", "tag(a,b,choice(5,6))", "${batch_size}", "int('7')", "shuffle(4,5,6)"),
    ],
    "batch_size": ["10", "all", "10,20", "${trainer.max_epochs}", "int(10.0)", "all,5"],
    "select": ["best,last", "'last'", "str(last)", '"best"'],
    "evaluate": ["true,false", "bool(0)", "bool(false,1)"],
    "log_every_n_steps": ["1", "int(2.0),3", "${trainer.max_epochs}"],
    "early_stopping.patience": ["3", "null", "null,4", "3,5"],
    "early_stopping": ["{patience: 3}", "{patience: 3},{patience: 4,min_delta: 0.1}"],
    "about.question": ["'what, now'", "a b", '"x=1",y', "'a ${seed}'"],
    "model.width": ["4", "4,8", "range(2,5)", "[4,5]", "[4],[5,6]", "${seed}", "5,${batch_size}", "choice(3,[2,2])"],
    "model.activation": ["tanh", "relu,gelu", "'tanh'"],
    "optimizer.lr": [
        *("0.1", "0.1,0.01", "range(0.1,0.3,0.1)", "1e-3,1", "float(1,2)", "${loss.sigma}", "1", "sort(0.2,0.1)"),
    ],
    "optimizer.betas": ["[0.9,0.99]", "[0.9,0.99],[0.8,0.9]"],
    "scheduler.max_lr": ["0.1", "${optimizer.lr}"],
    "scheduler.interval": ["epoch", "step,epoch"],
    "data.noise": ["0.2", "0.1,0.2"],
    "data.num_train": ["100,120", "100"],
    "trainer.max_epochs": ["2", "2,3"],
    "trainer.gradient_clip_val": ["null,1", "0.5", "${seed}"],
    "tracking.uri": ["null"],
    "executor.slots": ["2", "auto", "1,2"],
    "on_error": ["stop", "stop,continue"],
    "figures": ["all"],
    "+optimizer.eps": ["0.01", "0.01,0.001"],
    "+optimizer.weight_decay": ["0.1", "${optimizer.lr}"],
    "+trainer.max_steps": ["5", "5,6"],
    "++model.width": ["6,7", "6"],
    "++optimizer.weight_decay": ["0.1,0.2"],
    "~scheduler": ["none"],
    "~optimizer.lr": ["0.001"],
}
WITHOUT_VALUE = ["~scheduler", "~optimizer.betas", "~optimizer.lr", "~tracking", "~model.activation"]
# Keys that not every option of their group has, with one that has them.
NEEDED = {
    **dict.fromkeys(["scheduler.max_lr", "scheduler.interval"], "scheduler=onecycle"),
    **dict.fromkeys(["optimizer.betas", "+optimizer.eps"], "optimizer=adam"),
    **dict.fromkeys(["model.width", "model.activation", "++model.width"], "model=mlp"),
    "~scheduler": "scheduler=none",
}
WRONG = [
    *(
        "model=nope",
        "model=null",
        "model=[mlp,linear]",
        "model=shallow,shalow",
        "+model=mlp",
        "++model=mlp",
        "model@model=mlp",
    ),
    *("optimizer@other=adam", "a@b=c", "a@b=c,d", "group/none=x", "sed=3", "seed=0,abc", "seed=1.5", "seed=-1,2"),
    *(
        "seed=range(3,0)",
        "seed=interval(0,1)",
        "seed=sort(a,1)",
        "seed=1,1",
        "+seed=3",
        "seed=[1]",
        "seed=int(x)",
        "seed",
    ),
    *(
        "model.wdth=3",
        "model.width=0,3",
        "model.width=3,0",
        "model.width={a: 1}",
        "model.width.x=3",
        "model.width=true",
    ),
    *("optimizer.lr=0.1,-1", "optimizer.lr=inf", "optimizer.lr=abc", "optimizer.lr=[0.1", "optimizer.lr=nan,1"),
    *("batch_size=10,100000", "select=best,worst", "early_stopping=3", "early_stopping=null", "about=3", "about.x=1"),
    *("data.folder='${oc.env:HOME}'", "data.folder=${nothing.here}", "data.folder=${seed", "data.folder='a,b',c"),
    *(
        "data.folder=/a/hydra/b",
        "hydra.job.name=x",
        "++extra.deep.key=1",
        "model.width=${hydra.job.num}",
        "=3",
        "x=glob(*)",
    ),
    *(
        "trainer.max_epochs=${trainer.max_epochs}",
        "early_stopping.patience=0",
        "experiment=swept,none",
        "experiment=broken",
    ),
    *(
        "model.width=100000000",
        "optimizer._target_=os.system,torch.optim.SGD",
        "scheduler.pct_start=1.0,0.5",
        "trainer=ddp",
    ),
    *(
        "model={width: 5}",
        "optimizer={lr: 0.5},{lr: 0.25}",
        "trainer.max_epochs=${early_stopping.patience}",
        "about.question=null",
    ),
]
EXPERIMENTS = {
    "swept": """\
defaults: [override /model: mlp, override /scheduler: onecycle]
optimizer: {lr: 0.03}
model: {width: 3}
hydra: {sweeper: {params: {optimizer.lr: "choice(0.1,0.2)", +trainer.max_steps: "6", seed: "range(0,2)"}}}
""",
    "chapter/heir": """\
defaults: [/experiment/swept.yaml, _self_, override /data: line, override /optimizer: sgd]
seed: 5
batch_size: ${trainer.max_epochs}
hydra: {sweeper: {params: {model: "shallow,linear", seed: "sort(2,1)"}}}
""",
    "broken": "seed: ${nothing}\nmodel: {wide: 3}\n",
}


def add_experiments(project: Project) -> None:
    """Experiments that sweep by default and override groups, and a group whose option the other groups decide."""
    for name, text in EXPERIMENTS.items():
        path = project.conf / "experiment" / f"{name}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"# @package _global_\n{text}")
    root = project.conf / "config.yaml"
    root.write_text(root.read_text().replace("  - schema\n", "  - schema\n  - paired: ${data}-${optimizer}\n"))
    (project.conf / "paired").mkdir()
    pairs = product(options(project.conf, "data"), options(project.conf, "optimizer"))
    for number, (data, optimizer) in enumerate(pairs, start=10):
        text = f"# @package _global_\nlog_every_n_steps: {number}\n"
        (project.conf / "paired" / f"{data}-{optimizer}.yaml").write_text(text)


def draw(rng: Random) -> list[str]:
    """The arguments; -m is nearly always among them."""
    words = []
    for _ in range(rng.choice([0, 1, 1, 2])):
        group = rng.choice(list(GROUPS))
        words.append(f"{group}={rng.choice(GROUPS[group])}")
    for _ in range(rng.choice([0, 1, 2, 2, 3])):
        key = rng.choice(list(VALUES))
        words.append(f"{key}={rng.choice(VALUES[key])}")
        if key in NEEDED and rng.random() < 0.8:
            words = [word for word in words if not word.startswith(NEEDED[key].partition("=")[0] + "=")]
            words.append(NEEDED[key])
    words += [rng.choice(WITHOUT_VALUE)] if rng.random() < 0.1 else []
    words += [rng.choice(WRONG)] if rng.random() < 0.2 else []
    rng.shuffle(words)
    return [*(["-m"] if rng.random() < 0.95 else []), *words]
