"""Annotated frames: COCO files, splits, augmentation. NumPy and OpenCV only."""
