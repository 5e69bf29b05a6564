"""Inference runtimes: one file each, chosen by a word."""
