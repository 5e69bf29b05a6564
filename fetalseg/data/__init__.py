"""Annotated frames: COCO files, splits, augmentation. NumPy and OpenCV only, as evaluation reads sets without torch."""
