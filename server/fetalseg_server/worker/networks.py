"""The networks of a worker: one for full quality, and one more for each other model that the quality ladder names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fetalseg.candidates import Candidates
from fetalseg.errors import EngineError, ModelFileError
from fetalseg.instances import Instances
from fetalseg.model_file import find_model
from fetalseg.postprocess.options import PostprocessOptions
from fetalseg.preprocess import FrameGeometry
from fetalseg.segmenter import Segmenter
from fetalseg.tracking import TrackerOptions
from fetalseg_server.ladder import Rung, parse_ladder
from fetalseg_server.model_files import describe_model
from fetalseg_server.worker.batching import fastest_batch
from fetalseg_server.worker.encoding import encode_png, result_body
from fetalseg_server.worker.jobs import EngineReady, EngineSettings, Job

__all__ = ["Networks"]

_WARM_UP_SHAPE = (480, 640)
_PROBE_DETECTIONS = 12  # of a rich frame
_TRACKED_DETECTIONS = 40  # of a rich frame with its doubtful ones; only a `min_score` near 0 reaches it


class Networks:
    """Frames in, structures out, on each rung of the ladder.

    Args:
        settings: what to load.

    Attributes:
        batch: frames that the network takes at once.

    Raises:
        ValueError, FetalsegError: a model that can't be loaded, or one of the ladder with other structures.
    """

    def __init__(self, settings: EngineSettings) -> None:
        self._rungs = parse_ladder(settings.ladder)
        path = find_model(settings.model)
        self._model = describe_model(path)
        self._segmenters: dict[str | None, Segmenter] = {None: _load(str(path), settings)}
        for rung in self._rungs:
            if rung.model not in self._segmenters:
                self._segmenters[rung.model] = self._load_smaller(rung, settings)
        self.batch = self._fastest_batch() if settings.batch is None else settings.batch

    @property
    def description(self) -> EngineReady:
        """What the server is told of the network for full quality."""
        full = self._segmenters[None]
        return EngineReady(
            engine=f"{full.engine.name} {full.engine.precision} ({full.engine.device})",
            kind=full.engine.name,
            precision=full.engine.precision,
            min_score=full.default_options.min_score,
            nms=full.default_options.nms,
            model=self._model,
            batch=self.batch,
        )

    def together(self, first: Job, second: Job) -> bool:
        """Whether two frames go through the same network."""
        return self._rungs[first.rung].model == self._rungs[second.rung].model

    def prepare(self, pixels: npt.NDArray[np.uint8], job: Job) -> tuple[npt.NDArray[np.uint8], FrameGeometry]:
        """See `Segmenter.prepare`."""
        return self._segmenter(job).prepare(pixels)

    def infer(self, images: Sequence[npt.NDArray[np.uint8]], job: Job) -> list[Candidates | EngineError]:
        """Runs a batch; a frame of it whose output is bad has an error in its place, and spoils no other.

        Args:
            images: of `prepare`, for jobs that go `together`.
            job: one of them.
        """
        segmenter = self._segmenter(job)
        try:
            candidates = segmenter.infer(np.stack(images))
        except EngineError as error:
            if len(images) == 1:
                return [error]
            return [result for image in images for result in self.infer([image], job)]
        return [candidates.frame(index) for index in range(len(images))]

    def finish(self, candidates: Candidates, geometry: FrameGeometry, job: Job) -> Instances:
        """The instances of one frame, as the client and its rung want them; for a job to be tracked with lazy masks."""
        segmenter = self._segmenter(job)
        options = self._options(segmenter.default_options, job)
        return segmenter.finish(candidates, geometry, options, lazy_masks=job.track)

    def min_score(self, job: Job) -> float:
        """0..1, that a job means."""
        return self._segmenter(job).default_options.min_score if job.min_score is None else job.min_score

    def _options(self, default: PostprocessOptions, job: Job) -> PostprocessOptions:
        rung = self._rungs[job.rung]
        detections = min(default.max_detections, rung.detections or default.max_detections)
        min_score = self.min_score(job)
        if job.track:  # the tracker wants doubtful detections as well, and chooses among several of one structure
            min_score = TrackerOptions(min_score=min_score).low_score
            detections = min(detections, _TRACKED_DETECTIONS)
        return replace(
            default,
            nms=job.nms or default.nms,
            min_score=min_score,
            single_structures=default.single_structures and not job.track,
            masks=job.masks != "none" and not rung.no_masks,
            top_k=min(default.top_k, rung.candidates or default.top_k),
            max_detections=min(detections, _PROBE_DETECTIONS) if job.output == "probe" else detections,
        )

    def _segmenter(self, job: Job) -> Segmenter:
        return self._segmenters[self._rungs[job.rung].model]

    def _load_smaller(self, rung: Rung, settings: EngineSettings) -> Segmenter:
        assert rung.model is not None
        smaller = _load(rung.model, settings)
        if smaller.structures != self._model.structures:
            raise ModelFileError(
                f"the ladder's model {smaller.facts.name} finds other structures than {self._model.name}"
            )
        return smaller

    def _fastest_batch(self) -> int:
        full = self._segmenters[None]
        image, _ = full.prepare(np.zeros(_WARM_UP_SHAPE, np.uint8))

        def run(size: int) -> None:
            full.infer(np.stack([image] * size))

        return fastest_batch(run)


def _load(model: str, settings: EngineSettings) -> Segmenter:
    """A model, run through every stage twice, so that the first real frame meets warm code."""
    segmenter = Segmenter.load(
        model,
        settings.engine,
        precision=settings.precision,
        threads=settings.threads,
        device=settings.device,
        engine_cache=Path(settings.engine_cache) if settings.engine_cache else None,
    )
    options = replace(segmenter.default_options, min_score=0.0, max_detections=len(segmenter.structures))
    for _ in range(2):
        instances = segmenter.segment(np.zeros(_WARM_UP_SHAPE, np.uint8), options)
        result_body(instances, "polygon", None)
        encode_png(instances.label_map())
    return segmenter
