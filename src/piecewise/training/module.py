"""The model, its loss, its optimizer and its learning-rate schedule as a Lightning module."""

import math
from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer

from piecewise.data.randomness import derive_seed
from piecewise.data.resident import Batch
from piecewise.errors import NonFiniteLoss
from piecewise.losses.likelihood import NegativeLogLikelihood
from piecewise.models.dropout import Dropout
from piecewise.training.datamodule import ResidentData
from piecewise.training.evaluation import exact_values
from piecewise.training.length import Length
from piecewise.training.non_finite import first_non_finite
from piecewise.training.precision import full_precision, widen
from piecewise.training.schedule import Schedule


class TrainingModule(pl.LightningModule):
    """Minimises the mean objective over each step's examples; measures the mean negative log-likelihood of both sets.

    Measurements stay on the device until they are read; only the finiteness of the loss is checked at each step.
    """

    def __init__(
        self,
        model: nn.Module,
        loss: NegativeLogLikelihood,
        make_optimizer: Callable[[Any], Optimizer],
        schedule: Schedule | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.loss = loss
        self.make_optimizer = make_optimizer
        self.schedule = schedule
        self.dropouts = [layer for layer in model.modules() if isinstance(layer, Dropout)]
        self.batch_loss = math.nan  # the mean objective over this rank's share of the last batch
        self.train_nll: list[Tensor] = []  # per example, of each batch since the last reading
        self._is_counted = False  # whether `train_nll` has the present batch
        self.val_values: Tensor | None = None  # (N, 3): for each example nll, score, and 1 if it was measured
        self.val_metrics: dict[str, float] = {}

    @property
    def length(self) -> Length:
        """The length of the training, which the data decides."""
        data = self.trainer.datamodule  # type: ignore[attr-defined]
        assert isinstance(data, ResidentData)
        return data.length

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Validate after the last step, too, whatever `check_val_every_n_epoch` is and wherever `max_steps` ends."""
        self._is_counted = False
        if self.trainer.current_epoch + 1 == self.length.epochs:
            self.trainer.check_val_every_n_epoch = 1
            self.trainer.val_check_batch = self.length.last_epoch_batches

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        self._seed_generators(batch)
        outputs = self._outputs(batch)
        targets = widen(batch.y, outputs.dtype)
        with full_precision(self.trainer):
            objective = self.loss.objective(outputs, targets)
            nll = objective if self.loss.trains_on_nll else self.loss.nll(outputs.detach(), targets)
        if not self._is_counted:  # LBFGS computes a batch's loss several times; the reading is of the first
            self.train_nll.append(self._in_global_batch(nll.detach(), batch))
            self._is_counted = True
        total = objective.sum()
        self.batch_loss = total.item() * self.trainer.world_size / batch.global_size
        self._refuse_non_finite(self.batch_loss, batch, batch_idx)
        # Lightning divides by the number of accumulated batches, even if an epoch's last step has fewer, and DDP
        # averages gradients over ranks: with this factor the step's gradient is the mean over its examples.
        return total * (self.trainer.world_size * self.trainer.accumulate_grad_batches / batch.step_size)

    def _outputs(self, batch: Batch) -> Tensor:
        """The model's outputs in at least float32. The only place where inputs get the model's precision."""
        outputs: Tensor = self.model(batch.x.to(self.dtype))
        return widen(outputs, outputs.dtype)

    def _seed_generators(self, batch: Batch) -> None:
        """Seed each batch, so that a resumed run draws the same. No two generators have the same seed.

        Our Dropout draws the same masks on any number of ranks. Other layers do so only on the same number.
        """
        for number, layer in enumerate(self.dropouts):
            layer.begin(batch.seed, batch.number, number, batch.global_size, batch.share)
        place = batch.number, self.global_rank
        torch.default_generator.manual_seed(derive_seed(batch.seed, "model", *place))
        if self.device.type == "cuda":
            torch.cuda.manual_seed(derive_seed(batch.seed, "model on cuda", *place))

    def _refuse_non_finite(self, value: float, batch: Batch, batch_idx: int) -> None:
        """Raise NonFiniteLoss on all ranks at once, before the weights change. The rank that met it says where."""
        is_here = not math.isfinite(value)
        if not self.trainer.strategy.reduce_boolean_decision(is_here, all=False):
            return
        if not is_here:
            error = NonFiniteLoss(f"another rank met a loss that is not finite at step {self.trainer.global_step + 1}")
            error.is_reported = True
            raise error
        step = self.trainer.global_step + 1
        advice = "A smaller lr may help" if step > 1 else "No step was taken yet: smaller inputs or targets may help"
        raise NonFiniteLoss(
            f"the loss is {value} at step {step} (epoch {self.trainer.current_epoch}, batch "
            f"{batch_idx}); first that is not finite: {first_non_finite(self.model, batch)}. {advice}"
        )

    def _in_global_batch(self, values: Tensor, batch: Batch) -> Tensor:
        """This rank's values at their places in the global batch, and zeros at the places of other ranks."""
        if self.trainer.world_size == 1:
            return values
        whole = values.new_zeros(batch.global_size)
        whole[batch.share] = values
        return whole

    def interval(self) -> Tensor:
        """The negative log-likelihood of each example since the last reading, the same on any number of ranks."""
        values = self.trainer.strategy.reduce(torch.cat(self.train_nll), reduce_op="sum")
        assert isinstance(values, Tensor)
        return values

    def take_train_nll(self) -> Tensor:
        """Sum and count of the negative log-likelihoods since the last call, on the device."""
        if not self.train_nll:
            return torch.zeros(2, dtype=torch.float64, device=self.device)
        nll = self.interval().double()
        self.train_nll.clear()
        return torch.stack([nll.sum(), torch.full_like(nll.sum(), len(nll))])

    def on_validation_epoch_start(self) -> None:
        self.val_values = None

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        outputs = self._outputs(batch)
        with full_precision(self.trainer):
            values = torch.stack(exact_values(self.loss, outputs, batch.y), dim=1)
        if self.val_values is None:
            self.val_values = values.new_zeros(batch.global_size, 3)
        self.val_values[batch.share] = functional.pad(values, (0, 1), value=1)  # the third column

    def on_validation_epoch_end(self) -> None:
        """Metrics with the same bits on any number of ranks: one rank measures each example, and sums are exact."""
        values = self.trainer.strategy.reduce(self.val_values, reduce_op="sum")
        nll, score, count = (math.fsum(column) for column in values.T.tolist())
        self.val_metrics = {"val/nll": nll / count, f"val/{self.loss.score}": score / count}
        # For callbacks that watch a metric. All ranks have the same values already.
        self.log_dict(self.val_metrics, sync_dist=True)

    def configure_optimizers(self) -> Any:
        optimizer = self.make_optimizer(self.parameters())
        if self.schedule is None:
            return optimizer
        return self.schedule.configure(optimizer, self.length.steps, self.length.epochs)
