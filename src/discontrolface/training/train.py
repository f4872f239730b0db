"""The training loop of both networks, on one process or many (`accelerate launch`). To resume, run the same command.

Everything random in a step follows from (seed, step) (draws.py), so that a run killed at any moment goes on from its last checkpoint to exactly the
losses and weights that it would have had.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import torch

from discontrolface.common.errors import UserError
from discontrolface.common.files import replace_folder
from discontrolface.nets.blocks import compile_norms
from discontrolface.nets.exp_facenet import ExpFaceNet
from discontrolface.nets.latent_diffae import LatentDiffAE
from discontrolface.nets.randomness import seed_dropout
from discontrolface.training.average import Averaged, learned
from discontrolface.training.clock import Clock
from discontrolface.training.config import TrainConfig
from discontrolface.training.dataset import Batch, Source, StepData
from discontrolface.training.log import check_bar, cut_log
from discontrolface.training.measured import LateNumbers
from discontrolface.training.objective import Objective, build
from discontrolface.training.pieces import read_pieces, write_pieces
from discontrolface.training.pool import Pool
from discontrolface.training.state import load_state, save_state
from discontrolface.training.stream import Stream

if TYPE_CHECKING:
    from accelerate import Accelerator

    from discontrolface.training.board import Board

MEASURED = 64  # pictures that the statistics of latents come from
NOT_THE_RUN = ("checkpoint_minutes", "loss_bar", "make_pairs", "backbone_steps")  # config fields that change neither losses nor weights


def learning_rate(config: TrainConfig, step: int, done: float) -> float:
    """Linear warm-up, then a cosine from `lr` to `lr * final_lr`. done: the share of the run that lies behind (clock.py)."""
    warm = min(1.0, (step + 1) / config.warmup) if config.warmup else 1.0
    return config.lr * warm * (config.final_lr + (1 - config.final_lr) * 0.5 * (1 + math.cos(math.pi * done)))


def make_accelerator(config: TrainConfig, device: str | None) -> Accelerator:
    """Processes, device and precision. device: None for what `accelerate launch` or the machine offers, "cpu", or one by its PyTorch name."""
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state()  # a run before this one, in this process, may have computed in another precision
    accelerator = Accelerator(mixed_precision=config.precision, cpu=device == "cpu")
    try:
        kind = accelerator.device.type if device is None else torch.device(device).type
    except RuntimeError as error:
        raise UserError(f"device {device!r} is not known to PyTorch; give cpu or leave --device out") from error
    if kind != accelerator.device.type:
        raise UserError(f"device {device!r} is not what this machine's processes run on ({accelerator.device}); leave --device out")
    return accelerator


def batches(data: Source, run: Run, first: int, workers: int) -> Iterator[list[Batch]]:
    """This process's micro-batches, step by step, prepared ahead by `workers` processes; or put together on the device, where the pairs lie there."""
    config, accelerator = run.config, run.accelerator
    steps = StepData(data, config, accelerator.process_index, accelerator.num_processes, run.space)
    order = range(first, config.steps) if run.clock.by_steps else itertools.count(first)
    if isinstance(data, Pool | Stream):
        return on_device(data, steps, order)
    ahead: dict[str, Any] = {"num_workers": workers, "prefetch_factor": 4} if workers else {}
    pinned = accelerator.device.type != "cpu"  # page-locked memory, which `Batch.to` copies from without waiting
    own = torch.Generator()  # a DataLoader draws a seed for its processes, which nothing here uses; not from the process's generator
    return iter(torch.utils.data.DataLoader(steps, batch_size=None, sampler=order, pin_memory=pinned, generator=own, **ahead))


def on_device(data: Pool | Stream, steps: StepData, order: Iterable[int]) -> Iterator[list[Batch]]:
    """The micro-batches of pairs that lie on the device; of a stream, with what has been made since the last step."""
    for step in order:
        if isinstance(data, Stream):
            data.take()
        yield steps[step]


class Run:
    """Networks, optimizer and averages of one run, and its state on disk."""

    def __init__(
        self,
        config: TrainConfig,
        objective: Objective,
        accelerator: Accelerator,
        path: Path,
        pieces: Path | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.config, self.accelerator, self.path, self.pieces = config, accelerator, path, pieces
        self.clock = clock or Clock(config)
        order = torch.channels_last if config.channels_last else torch.contiguous_format
        objective.to(device=accelerator.device, memory_format=order)  # type: ignore[call-overload]
        objective.train()
        self.network, self.space = objective.trained, objective.space
        self.parameters = learned(self.network)
        self.averaged = Averaged(self.network, config.ema)
        self.adversary = objective.adversary
        groups: list[dict[str, Any]] = [{"params": self.parameters, "share": 1.0}]  # share: of the rate that is due
        if self.adversary is not None:
            groups.append({"params": list(self.adversary.parameters()), "share": config.adversary_lr / config.lr, "betas": (0.5, 0.99)})
        optimizer = torch.optim.AdamW(groups, lr=config.lr, weight_decay=0.0)
        if config.compile:
            compile_norms(objective)
        self.objective, self.optimizer = accelerator.prepare(objective, optimizer)

    def restore(self, pieces: Path | None = None, say: Callable[[str], None] | None = None) -> int:
        """Read the last checkpoint, else the pieces of one, if there are any. Returns the step to go on from."""
        state = load_state(self.path)
        if state is None and pieces is not None:
            state = read_pieces(pieces, say)
        if state is None:
            return 0
        missing = [key for key in ("config", "network", "average", "optimizer", "step") if key not in state]
        if missing:
            raise UserError(f"{self.path} is not a training checkpoint (no {missing[0]}); choose another --output")
        now, before = asdict(self.config), {**asdict(TrainConfig()), **state["config"]}
        before["snapshot_maps"] = tuple(before["snapshot_maps"])
        changed = [k for k in now if before[k] != now[k] and k not in NOT_THE_RUN]
        processes = state.get("processes", 1)
        if processes != self.accelerator.num_processes:
            changed.append(f"processes: {processes} then, {self.accelerator.num_processes} now")
        if changed:
            raise UserError(f"{self.path} belongs to another run ({', '.join(changed)} differ); choose another --output")
        self.network.load_state_dict(state["network"])
        self.averaged.values = [v.to(self.accelerator.device) for v in state["average"]]
        if self.adversary is not None:
            self.adversary.load_state_dict(state["adversary"])
        if state["optimizer"] is not None:
            self.optimizer.load_state_dict(state["optimizer"])
        self.clock.seconds = float(state.get("seconds", 0.0))
        if self.accelerator.scaler is not None and state.get("scaler"):
            self.accelerator.scaler.load_state_dict(state["scaler"])
        return int(state["step"])

    def checkpoint(self, step: int) -> None:
        """Write the state after `step` steps; the first process does."""
        if not self.accelerator.is_main_process:
            return
        scaler = self.accelerator.scaler
        content: dict[str, Any] = {"config": asdict(self.config), "network": self.network.state_dict(), "average": self.averaged.values}
        content["adversary"] = None if self.adversary is None else self.adversary.state_dict()
        content |= {"optimizer": self.optimizer.state_dict(), "scaler": None if scaler is None else scaler.state_dict()}
        content |= {"step": step, "seconds": self.clock.seconds, "processes": self.accelerator.num_processes}
        save_state(content, self.path)
        if self.pieces is not None:
            write_pieces(content, self.pieces)

    def rate(self, step: int) -> float:
        """The learning rate of the step that is next."""
        return learning_rate(self.config, step, self.clock.done(step))

    def step(self, step: int, parts: list[Batch]) -> tuple[torch.Tensor, torch.Tensor]:
        """One optimizer step. Returns the mean loss of all processes and the gradient's norm before clipping, () each, still on the device."""
        accelerator, rounds = self.accelerator, len(parts)
        for group in self.optimizer.param_groups:
            group["lr"] = group.get("share", 1.0) * self.rate(step)
        self.optimizer.zero_grad(set_to_none=True)
        total = torch.zeros((), device=accelerator.device)
        for k, part in enumerate(parts):
            place = ((self.config.seed * 1_000_003 + step) * rounds + k) * accelerator.num_processes + accelerator.process_index
            seed_dropout(self.network, place)
            last = k == rounds - 1
            with contextlib.nullcontext() if last else accelerator.no_sync(self.objective):
                losses = self.objective(part.to(accelerator.device, self.config.channels_last))
                loss = losses.per_sample.mean() / rounds
                accelerator.backward(loss + losses.beside.mean() / rounds)
            total += loss.detach().float()
        norm = accelerator.clip_grad_norm_(self.parameters, self.config.grad_clip)
        self.optimizer.step()
        if accelerator.is_main_process:
            self.averaged.update(self.network, step)
        if accelerator.num_processes > 1:
            total = accelerator.reduce(total, "mean")
        return total, torch.zeros_like(total) if norm is None else norm


@dataclass
class Journal:
    """What a run says of its steps: the log, curves, a word to the caller. Numbers come late, see measured.py; before a checkpoint all are here."""

    config: TrainConfig
    log: TextIO
    progress: Callable[[int, float, float], None] | None
    board: Board | None
    say: Callable[[str], None]
    late: LateNumbers = field(default_factory=LateNumbers)

    def write(self, all_of_them: bool = False) -> None:
        """The lines that are due. UserError when a loss is not finite."""
        for numbers in self.late.take(all_of_them):
            (loss, norm), step = numbers.values(), numbers.step
            if not math.isfinite(loss):
                raise UserError(f"the loss is {loss} at step {step}; lower lr ({self.config.lr}) and start from the last checkpoint")
            write_line(
                self.log, {"step": step, "loss": round(loss, 6), "seconds": round(numbers.seconds, 3), "lr": float(f"{numbers.rate:.3g}")}
            )
            if self.progress is not None:
                self.progress(step, loss, numbers.seconds)
            if self.board is not None:
                self.board.curves(step, loss, norm, numbers.rate)


def train(
    config: TrainConfig,
    data: Source,
    output: Path,
    backbone: Path | None = None,
    device: str | None = "cpu",  # None: what `accelerate launch` or the machine offers
    progress: Callable[[int, float, float], None] | None = None,  # (step, loss, seconds per step)
    stop_after: float
    | None = None,  # seconds from now; then write a checkpoint and return. 0: a run that goes on gives its checkpoint's weights
    workers: int = 0,  # processes that prepare the pictures ahead
    pictures: int = 0,  # steps between pictures in TensorBoard (OUTPUT/tensorboard); 0: no TensorBoard
    start_from: Path | None = None,  # weights of the same network to start with (a folder written by `save_pretrained`)
    import_state: Path | None = None,  # go on from the pieces of a state (pieces.py) where `output` holds no checkpoint
    export_state: Path | None = None,  # write each checkpoint as pieces too
    end_after: float | None = None,  # seconds from now, when a run by the clock shall be complete (clock.py)
    say: Callable[[str], None] = lambda text: None,  # a word about what is not a step
) -> Path:
    """Train and return the folder of the averaged weights (`output/weights`, `from_pretrained` reads it). Resumes from `output/state.pt`.

    Exact: killed at any moment and started again on the same machine with the same data, it ends with the weights of an undisturbed run. Not so
    where the pairs are made meanwhile (stream.py), the run is as long as a clock says (clock.py), or the state came in pieces.
    """
    begin = time.monotonic()
    make_folder(output)
    objective = build(config, backbone)
    if start_from is not None:
        load_weights(objective.new, start_from)
    size = objective.model.image_size
    if data.size != size:
        raise UserError(f"the data's pictures have {data.size} pixels, network {config.network!r} wants {size}; make data of that size")
    accelerator = make_accelerator(config, device)
    if end_after is not None and accelerator.num_processes > 1:
        raise UserError("--end-after is for one process; leave it out, and write the minutes in the config")
    clock = Clock(config, ends_at=None if end_after is None else begin + end_after)
    run = Run(config, objective, accelerator, output / "state.pt", export_state, clock)
    first, main = run.restore(import_state, say), accelerator.is_main_process
    deadline = None if stop_after is None else begin + stop_after
    if isinstance(data, Stream) and not run.clock.over(first) and stop_after != 0:
        data.start(first)
        data.fill(say, deadline)
    measure_space(run, data)
    board = None
    if main:
        cut_log(output / "log.jsonl", first)
    if pictures and main:
        from discontrolface.training.board import Board

        board = Board(output / "tensorboard", config, data, objective, run.averaged, accelerator.device, first)
    with (output / "log.jsonl" if main else Path(os.devnull)).open("a") as log:
        journal = Journal(config, log, progress if main else None, board, say)
        take_steps(run, journal, batches(data, run, first, workers), first, deadline, pictures)
    weights = output / "weights"
    if main:
        run.averaged.swap(run.network)
        replace_folder(run.network.save_pretrained, weights, "the weights")
        if config.loss_bar and stop_after is None:
            check_bar(output / "log.jsonl", config.loss_bar)
    accelerator.wait_for_everyone()
    return weights


def measure_space(run: Run, data: Source) -> None:
    """Mean and spread of the latents of a new backbone on latents, on the pictures of the first steps. One that was trained before keeps its own."""
    model = run.network
    if not isinstance(model, LatentDiffAE) or model.measured:
        return
    config, device = run.config, run.accelerator.device
    steps = StepData(data, config, space=run.space)
    count = math.ceil(MEASURED / (config.batch * config.accumulate))
    model.set_statistics(part.to(device, config.channels_last).target for step in range(count) for part in steps[step])


def take_steps(
    run: Run,
    journal: Journal,
    source: Iterator[list[Batch]],  # of the steps from `first` on
    first: int,
    deadline: float | None,  # of time.monotonic
    pictures: int,
) -> None:
    """Train from step `first` on, with checkpoints in between and one at the end."""
    config, board, clock = run.config, journal.board, run.clock
    saved = begin = time.monotonic()
    step = first
    stop = first > 0 and deadline is not None and agreed(run.accelerator, begin >= deadline)  # a new run has no checkpoint yet
    while not (stop or clock.over(step)):
        rate = run.rate(step)
        loss, norm = run.step(step, next(source))
        now = time.monotonic()
        journal.late.put(step, now - begin, rate, loss, norm)
        clock.tick(now - begin if clock.by_steps else of_first(run.accelerator, now - begin))
        if step == first:
            journal.say(f"the first step took {now - begin:.1f} s" + ("" if clock.by_steps else ", which is no part of the minutes"))
        begin = now
        if board is not None and (step + 1) % pictures == 0:
            board.pictures(step)
        due = now - saved >= config.checkpoint_minutes * 60
        stop = deadline is not None and agreed(run.accelerator, now > deadline)
        last = clock.over(step + 1)
        journal.write(all_of_them=due or stop or last)  # so that a checkpoint holds no loss that is not finite, and the log all before it
        if due or stop or last:
            run.checkpoint(step + 1)
            saved = time.monotonic()
        step += 1
    journal.say(closing_word(run, step, step - first))


def closing_word(run: Run, step: int, steps: int) -> str:
    """What a sitting came to."""
    clock, seen = run.clock, steps * run.config.batch * run.config.accumulate * run.accelerator.num_processes
    word = f"{steps} steps, {seen} pictures; {100 * clock.done(step):.0f} % of the run is done"
    if clock.by_steps:
        return word
    return f"{word}, {clock.seconds / 60:.2f} of {run.config.minutes:g} minutes of training; {clock.uncounted:.0f} s of this sitting did not count"


def load_weights(network: Any, folder: Path) -> None:
    """Weights of another run. UserError when they are missing or of another shape. What starts at zero in `network` may be missing there."""
    try:
        other = type(network).from_pretrained(folder)
        zeros = {name: value for name, value in network.state_dict().items() if not value.any()}
        network.load_state_dict(zeros | with_more_maps(other.state_dict(), other, network))
    except (OSError, ValueError, RuntimeError) as error:
        raise UserError(f"cannot start from {folder}: {str(error).splitlines()[0]}") from error


def with_more_maps(state: dict[str, torch.Tensor], other: Any, network: Any) -> dict[str, torch.Tensor]:
    """`other`'s state for a control network that sees more maps: the stem's new inputs are zero, so that they change nothing yet."""
    if not isinstance(network, ExpFaceNet) or not set(other.spec.maps) < set(network.spec.maps):
        return state
    inputs = network.patch**2  # of the stem, a channel of a snapshot
    wide = torch.zeros_like(network.unet.stem.weight)
    for name in other.spec.maps:
        here, there = (slice(s.start * inputs, s.stop * inputs) for s in (network.spec.slice(name), other.spec.slice(name)))
        wide[:, here] = state["unet.stem.weight"][:, there]
    return {**state, "unet.stem.weight": wide}


def make_folder(folder: Path) -> None:
    """UserError when it cannot be made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make the folder {folder}: {error.strerror}; choose another --output") from error


def write_line(log: Any, line: dict[str, Any]) -> None:
    """One line, out of this process's hands at once."""
    try:
        log.write(json.dumps(line) + "\n")
        log.flush()
    except OSError as error:
        raise UserError(f"cannot write the log {log.name}: {error.strerror}; make room and run the same command again") from error


def agreed(accelerator: Accelerator, mine: bool) -> bool:
    """The first process's word, for all."""
    return of_first(accelerator, float(mine)) > 0


def of_first(accelerator: Accelerator, mine: float) -> float:
    """The first process's number, for all."""
    if accelerator.num_processes == 1:
        return mine
    number = torch.tensor([mine if accelerator.is_main_process else 0.0], device=accelerator.device)
    return float(accelerator.reduce(number, "sum").item())
