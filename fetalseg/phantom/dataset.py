"""Writes synthetic frames as a COCO data set.

A folder holds one set, whole: a folder with another one is refused, and a run that fails takes its files away again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from fetalseg.anatomy import VIEWS, coco_categories, structure
from fetalseg.errors import DataError
from fetalseg.phantom.acoustics import Speckle
from fetalseg.phantom.cine import VIEW_ORDER, cine, examined
from fetalseg.phantom.examination import Examination, draw_examination
from fetalseg.phantom.frames import NO_VIEW, PhantomFrame, check_view, make_frame
from fetalseg.phantom.motion import draw_moment

__all__ = ["FRAMES_PER_PATIENT", "VIEW_SHARES", "still", "write_dataset"]

FRAMES_PER_PATIENT = 6
# Shares of the views in the test set of Hong et al., Table 3, and 4 % of frames without a fetus: a network that has
# only seen fetuses finds a cranium in an adult's heart.
VIEW_SHARES = {"head": 195, "neck": 199, "thorax": 93, "abdomen": 170, "extremity": 153, "spine": 147, NO_VIEW: 40}

_DEFAULT_SIZE = (640, 432)


def still(
    index: int, seed: int, *, height: int, width: int, views: Sequence[str] | None = None
) -> tuple[PhantomFrame, Examination, str]:
    """Frame number `index` of a data set: the frame, its examination and the patient's name.

    It depends on its arguments alone, so that frames can be made in any order.

    Raises:
        ValueError: an unknown view.
    """
    patient = index // FRAMES_PER_PATIENT
    examination = draw_examination(np.random.default_rng([seed, 0, patient]))
    choice = np.random.default_rng([seed, 1, index])
    names = [check_view(name) for name in (VIEW_SHARES if views is None else views)]
    shares = np.array([VIEW_SHARES[name] for name in names], np.float64)
    name = names[int(choice.choice(len(names), p=shares / shares.sum()))]
    frame = make_frame(
        name,
        examination,
        plan=np.random.SeedSequence([seed, 2, index]),
        speckle=Speckle(np.random.SeedSequence([seed, 3, index])),
        noise=np.random.default_rng([seed, 4, index]),
        motion=draw_moment(choice),
        height=height,
        width=width,
    )
    return frame, examination, f"phantom-{seed}-{patient:05d}"


def write_dataset(
    out_dir: Path | str,
    *,
    frames: int,
    seed: int,
    size: tuple[int, int] = _DEFAULT_SIZE,
    views: Sequence[str] | None = None,
    moving: bool = False,
    on_frame: Callable[[], None] | None = None,
) -> Path:
    """Writes `instances.json` and `images/*.png`; the same arguments give the same bytes.

    Args:
        out_dir: made if it doesn't exist; must not hold a data set already.
        frames: how many; frame n is the same in a set of any length.
        seed: 0 or more; other seeds give other patients.
        size: (width, height) of the frames, px.
        views: the views to draw, `NO_VIEW` among them; None for stills in the shares of `VIEW_SHARES`, and for a cine
            of all six.
        moving: write one cine of one fetus instead of stills of many.
        on_frame: called after each frame, for a progress bar.

    Returns:
        The path of `instances.json`.

    Raises:
        ValueError: fewer than 1 frame, a negative seed, a size outside of 64..4096 px, or an unknown view.
        DataError: `out_dir` holds a data set, is a file or can't be written, or the disk is full. What was written is
            gone then.
    """
    _check(frames, seed, size, views)
    folder = Path(out_dir)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    try:
        with _whole_or_nothing(folder) as write:
            for index, (frame, examination, patient) in enumerate(_made(frames, seed, size, views, moving)):
                file_name = f"phantom_{seed}_{index:06d}.png"
                write(f"images/{file_name}", cv2.imencode(".png", frame.pixels)[1].tobytes())
                images.append(_image_record(index + 1, file_name, frame, examination, patient))
                annotations.extend(_annotation_records(frame, index + 1, len(annotations) + 1, moving=moving))
                if on_frame is not None:
                    on_frame()
            info = {"description": "Synthetic first-trimester frames with exact masks", "seed": seed}
            document = {"info": info, "categories": coco_categories(), "images": images, "annotations": annotations}
            write("instances.json", json.dumps(document).encode())
    except OSError as error:
        raise DataError(f"can't write to {error.filename or folder}: {error.strerror}") from error
    return folder / "instances.json"


@contextmanager
def _whole_or_nothing(folder: Path) -> Iterator[Callable[[str, bytes], None]]:
    """A function that writes files into a folder without a data set; a failure or Ctrl+C removes them again.

    Raises:
        DataError: the folder holds a data set, or the images of an unfinished one.
    """
    pictures = folder / "images"
    if (folder / "instances.json").exists() or (pictures.is_dir() and any(pictures.iterdir())):
        raise DataError(f"{folder} holds a data set; choose another folder, or delete instances.json and images/")
    pictures.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []

    def write(name: str, data: bytes) -> None:
        written.append(folder / name)
        written[-1].write_bytes(data)

    try:
        yield write
    except BaseException:
        for path in written:
            path.unlink(missing_ok=True)
        with suppress(OSError):  # what made the writing fail may hold here too
            pictures.rmdir()
        raise


def _made(
    frames: int, seed: int, size: tuple[int, int], views: Sequence[str] | None, moving: bool
) -> Iterator[tuple[PhantomFrame, Examination, str]]:
    width, height = size
    if not moving:
        for index in range(frames):
            yield still(index, seed, height=height, width=width, views=views)
        return
    shown = VIEW_ORDER if views is None else views
    examination = examined(seed)
    for frame in cine(frames=frames, seed=seed, height=height, width=width, views=shown):
        yield frame, examination, f"phantom-{seed}-cine"


def _check(frames: int, seed: int, size: tuple[int, int], views: Sequence[str] | None) -> None:
    if frames < 1:
        raise ValueError(f"the number of frames must be at least 1, got {frames}")
    if seed < 0:
        raise ValueError(f"the seed must be 0 or more, got {seed}")
    if not all(64 <= side <= 4096 for side in size):
        raise ValueError(f"the size of a frame must be 64 to 4096 px a side, got {size[0]}x{size[1]}")
    if views is not None:
        if not views:
            raise ValueError(f"no view given; expected some of {', '.join(v.name for v in VIEWS)}")
        for name in views:
            check_view(name)


def _image_record(
    image_id: int, file_name: str, frame: PhantomFrame, examination: Examination, patient: str
) -> dict[str, Any]:
    height, width = frame.pixels.shape
    # an image without a fetus has no view; readers take the field as one of the six words
    shown = {} if frame.view == NO_VIEW else {"view": frame.view}
    return {
        "id": image_id,
        "file_name": file_name,
        "width": width,
        "height": height,
        "annotated_category_ids": [structure(name).id for name in frame.annotated],
        "visible_category_ids": [structure(name).id for name in frame.visible],
        **shown,
        "patient": patient,
        "spacing_mm": [round(side, 6) for side in frame.spacing_mm],
        "pixel_size_mm": round(frame.spacing_mm[0], 6),
        "probe": examination.probe,
        "crl_mm": round(examination.crl_mm, 2),
        "source": "phantom",
    }


def _annotation_records(frame: PhantomFrame, image_id: int, first_id: int, *, moving: bool) -> list[dict[str, Any]]:
    instances = frame.instances()
    records: list[dict[str, Any]] = []
    for label, (x1, y1, x2, y2), crop, runs, ignored, track in zip(
        instances.labels.tolist(),
        instances.crop_boxes.tolist(),
        instances.crops,
        instances.rle(),
        frame.ignored.tolist(),
        frame.track_ids,
        strict=True,
    ):
        records.append(
            {
                "id": first_id + len(records),
                "image_id": image_id,
                "category_id": label + 1,
                "segmentation": runs,
                "bbox": [x1, y1, x2 - x1, y2 - y1],
                "area": int(crop.sum()),
                "iscrowd": int(ignored),
                **({"track_id": track} if moving else {}),
            }
        )
    return records
