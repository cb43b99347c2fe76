"""Random command lines that plan, with every notation of Hydra's grammar, and what a shell makes of a command."""

from __future__ import annotations

import subprocess
from random import Random

from hydra.core.override_parser.types import Quote, QuotedString

LETTERS = "ab 0=,:'\"()[]{}\\/~!#$%&*;<>|?`@+-._éλ😀　"
# Each line has one of some of these groups.
SINGLE: dict[str, list[str]] = {
    "seed": ["seed=3", "seed=1_0", "seed= 4", "seed=int(5)", "++seed=6", "seed=${model.width}"],
    "data": ["data=line", "data=curve_1d", "data.noise=0.2", "data.noise=3e-1"],
    "loss": ["loss=laplace", "loss=heteroscedastic", "loss.sigma=2"],
    "model": ["model=linear", "model.width=4", "++model.width=5", "model.activation='tanh'", "model.init=he"],
    "optimizer": ["optimizer=sgd", "optimizer=adamw", "optimizer.lr=1e-3", "+optimizer.eps=1e-7", "~optimizer.betas"],
    "scheduler": ["scheduler=cosine", "~scheduler", "scheduler=onecycle"],
    "trainer": ["+trainer.max_steps=9", "trainer=smoke", "++trainer.max_steps=7", "~trainer.timeout", "trainer=cpu"],
    "stop": ["early_stopping={patience: 3, min_delta: 0.1}", "early_stopping.patience=2"],
    "batch": ["batch_size=10", "batch_size=all", "batch_size='all'", "batch_size=${model.width}"],
    "tracking": ["tracking=none", "tracking.uri=null", "tracking.uri=http://localhost:5001", "~tracking"],
    "about": ["about.expected=[{metric: test/nll, at_most: 1}]", "about.expected=[]", "about={seconds: 3}"],
    "experiment": ["experiment=least_squares", "experiment='deep_regression'", "experiment=shallow_regression"],
}
SWEPT: dict[str, list[str]] = {
    "seed": ["seed=0,1", "seed=range(0,3)", "seed=choice(5,4)", "++seed=1,2", "seed=range(2,0,step=-1)"],
    "model": ["model.width=3,4", "model=linear,shallow", "++model.width=5,6"],
    "optimizer": ["optimizer=adam,sgd", "optimizer.lr=range(0.1,0.3,0.1)", "optimizer=glob(a*)"],
    "trainer": ["+trainer.max_steps=7,8", "early_stopping={patience: 3},{patience: 4}", "trainer=smoke,overfit"],
    "experiment": ["experiment=shallow_regression,deep_regression", "experiment=glob(*_regression)"],
}


def draw(rng: Random) -> list[str]:
    """The arguments of `piecewise train`. Some cannot be combined: draw again if planning refuses them."""
    keys = rng.sample(sorted(SINGLE), rng.randint(1, 5))
    swept = [rng.choice(sorted(SWEPT))] if rng.random() < 0.4 else []
    words = [rng.choice(SINGLE[key]) for key in keys if key not in swept] + [rng.choice(SWEPT[key]) for key in swept]
    words += [f"data.folder={_value(rng)}"] if rng.random() < 0.5 else []
    words += [f"about.question={_value(rng)}"] if rng.random() < 0.3 else []
    if swept and rng.random() < 0.2:
        words += [f"data.folder={_value(rng)},{_value(rng)}"]
    words += [rng.choice(["-m", "--multirun"])] if swept else []
    rng.shuffle(words)
    return words


def _value(rng: Random) -> str:
    """Text in quotes, as Hydra writes it."""
    text = "".join(rng.choice(LETTERS) for _ in range(rng.randint(0, 12))).replace("${", "{")
    return QuotedString(text, rng.choice([Quote.single, Quote.double])).with_quotes()


def typed(shell: str, commands: list[str]) -> list[list[str]]:
    """The arguments with which the shell would run `piecewise train`, for each command that is pasted into it."""
    script = "\n".join(['piecewise() { printf \'%s\\0\' "$#" "$@"; }', *commands])
    done = subprocess.run([shell, "-c", script], capture_output=True, check=True)
    assert not done.stderr, done.stderr
    found, fields = [], done.stdout.decode().split("\0")
    while fields[0]:
        count = int(fields.pop(0))
        assert fields.pop(0) == "train"
        found.append([fields.pop(0) for _ in range(count - 1)])
    return found
