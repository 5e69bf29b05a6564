"""Frames from files, cameras and the phantom."""
