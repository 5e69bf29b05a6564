"""Configurations, measured in turns."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass

from benchmarks.speed.energy import Meter, ProcessorEnergy
from benchmarks.speed.gpu import Gpu, open_gpu
from benchmarks.speed.networks import NetworkFile
from benchmarks.speed.pipeline import Pipelined
from benchmarks.speed.rows import Row, Setup, latencies
from benchmarks.speed.runtimes import runtime_version
from benchmarks.speed.stages import STAGES, Frames, OneAfterAnother
from benchmarks.speed.turns import Samples, Untimed, take_turns
from fetalseg.engines.base import Engine, usable_cores
from fetalseg.engines.gpu import find_gpus
from fetalseg.errors import EngineError, FetalsegError
from fetalseg.segmenter import Segmenter

__all__ = ["BLOCKS", "WARM_UP", "Asked", "Measured", "measure"]

WARM_UP = Untimed(batches=10, seconds=0.5)  # of each configuration, before anything is timed
BLOCKS = 10  # of each configuration
_SETTLE = Untimed(batches=2, seconds=0.1)  # before each block
_FINISHERS = 2  # threads of post-processing, with --pipelined

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Asked:
    """What to load.

    Attributes:
        networks: model files.
        engines: words.
        precisions: to compute in; None: the engine's choice.
        threads: of one inference; None: one for each core.
        device: where to run; None: the engine's choice.
    """

    networks: Sequence[NetworkFile]
    engines: Sequence[str]
    precisions: Sequence[str | None] = (None,)
    threads: int | None = None
    device: str | None = None


@dataclass(frozen=True)
class Measured:
    """The outcome.

    Attributes:
        rows: one a configuration.
        samples: of the same, one batch after another.
        gpu: which, in words; None where none is used.
    """

    rows: list[Row]
    samples: list[Samples]
    gpu: str | None


class _Configuration:
    """One model in one engine at one batch size."""

    def __init__(
        self, network: NetworkFile, segmenter: Segmenter, frames: Frames, batch: int, threads: int | None
    ) -> None:
        self.plain = OneAfterAnother(segmenter, frames, batch, stand_in=network.is_random)
        self.piped = Pipelined(segmenter, frames, batch, finishers=_FINISHERS, stand_in=network.is_random)
        self.setup = _setup(network, segmenter.engine, batch, threads)
        self.memory_mb: float | None = None

    def row(self, samples: Samples, piped: Samples | None, meter: Meter | None) -> Row:
        """The figures of this configuration, from its samples of both ways."""
        totals = samples.all("total")
        frames = len(totals) * self.setup.batch
        return Row(
            setup=self.setup,
            fps=round(1000 * frames / sum(totals), 2),
            pipelined_fps=round(sum(piped.all("frames")) / sum(piped.all("seconds")), 2) if piped else None,
            latency_ms=latencies(samples),
            block_medians_ms={
                stage: [round(ms, 4) for ms in samples.medians(stage)] for stage in STAGES if stage in samples.names
            },
            batches=len(totals),
            instances=round(sum(samples.all("instances")) / frames, 2),
            gpu_memory_mb=None if self.memory_mb is None else round(self.memory_mb),
            watts=None if meter is None else meter.watts(samples),
        )


def measure(asked: Asked, frames: Frames, *, batches: Sequence[int], count: int, pipelined: bool = False) -> Measured:
    """Runs at least `count` frames through each configuration, in turns.

    Args:
        asked: models and engines.
        frames: uint8, gray or RGB, repeated without an end.
        batches: batch sizes.
        count: frames, one batch after another, and as many again where `pipelined`.
        pipelined: measure that as well.

    Raises:
        FetalsegError, ValueError: see `fetalseg.engines.load_engine`.
    """
    with ExitStack() as stack:
        gpu = _open_gpu(stack)
        field = _load(asked, frames, batches, gpu, stack)
        meters = _meters(field, gpu)
        ways = 2 if pipelined else 1
        samples = take_turns(
            [*(one.plain for one in field), *(one.piped for one in field if pipelined)],
            [-(-count // one.setup.batch) for one in field] * ways,
            blocks=BLOCKS,
            warm_up=WARM_UP,
            settle=_SETTLE,
            meters=[meter.joules if meter else None for meter in meters] * ways,
        )
        both = itertools.zip_longest(samples[: len(field)], samples[len(field) :])
        rows = [one.row(plain, piped, meter) for one, (plain, piped), meter in zip(field, both, meters, strict=True)]
        on_gpu = any(one.setup.on_gpu for one in field)
        return Measured(rows, samples[: len(field)], str(gpu) if gpu and on_gpu else None)


def _load(
    asked: Asked, frames: Frames, batches: Sequence[int], gpu: Gpu | None, stack: ExitStack
) -> list[_Configuration]:
    """Every model in every engine in every precision; with several precisions, those that an engine has."""
    field: list[_Configuration] = []
    refused: list[Exception] = []
    for network, word, precision in itertools.product(asked.networks, asked.engines, asked.precisions):
        before_mb = gpu.memory_mb() if gpu else 0.0
        try:
            segmenter = Segmenter.load(
                network.path, word, precision=precision, threads=asked.threads, device=asked.device
            )
        except (ValueError, EngineError) as error:
            if len(asked.precisions) == 1:
                raise
            logger.warning("left out: %s", error)
            refused.append(error)
            continue
        stack.enter_context(segmenter)
        for batch in batches:
            field.append(_Configuration(network, segmenter, frames, batch, asked.threads))
            if gpu and field[-1].setup.on_gpu:
                field[-1].plain(range(1))  # an engine takes its working memory with the first batch
                field[-1].memory_mb = gpu.memory_mb() - before_mb
    if not field:
        raise refused[0]
    return field


def _setup(network: NetworkFile, engine: Engine, batch: int, threads: int | None) -> Setup:
    facts = engine.facts
    return Setup(
        model=facts.name,
        version=facts.version,
        weights=network.weights,
        engine=engine.name,
        runtime=runtime_version(engine.name),
        precision=engine.precision,
        device=engine.device,
        threads=threads or usable_cores(),
        input=(facts.input.width, facts.input.height),
        batch=batch,
    )


def _open_gpu(stack: ExitStack) -> Gpu | None:
    """The GPU to watch; None, with a word in the log where there is one that can't be watched."""
    if find_gpus().count == 0:
        return None
    try:
        gpu = open_gpu()
    except FetalsegError as error:
        logger.warning("memory and power of the GPU are left out: %s", error)
        return None
    stack.callback(gpu.close)
    return gpu


def _meters(field: Sequence[_Configuration], gpu: Gpu | None) -> list[Meter | None]:
    """What counts the energy of the device that each configuration runs on."""
    processor: Meter | None = None
    with suppress(OSError):
        processor = Meter(ProcessorEnergy().joules, ProcessorEnergy.SHORTEST_S)
    on_gpu = Meter(gpu.joules, Gpu.SHORTEST_S) if gpu and gpu.tells_power else None
    return [on_gpu if one.setup.on_gpu else processor for one in field]
