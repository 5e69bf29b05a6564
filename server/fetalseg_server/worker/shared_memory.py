"""Frames on their way to a worker process: one piece of memory that both processes map.

Only the server process decides who uses which bytes, so the memory needs no locks and a dead worker leaves nothing
behind. It has no name in any file system (`memfd_create`): nobody else can open it, it can't outlive the two processes,
frames never touch a disk, and a container's small /dev/shm doesn't matter.
"""

from __future__ import annotations

import mmap
import os
from dataclasses import dataclass

__all__ = ["Block", "FrameArena"]

_ALIGNMENT = 4096


@dataclass(frozen=True)
class Block:
    """Where a payload lies in the arena, in bytes."""

    offset: int
    length: int


class FrameArena:
    """A fixed number of bytes, given out in blocks; the first gap that is large enough is taken.

    Few blocks are in use at a time (two for each worker), so a search through all of them costs nothing.

    Args:
        size: bytes.
        fd: of an arena made by another process; None makes a new one.

    Raises:
        OSError: the system offers no such memory (it is Linux that does).
    """

    def __init__(self, size: int, fd: int | None = None) -> None:
        if fd is None:
            if not hasattr(os, "memfd_create"):
                raise OSError("the server needs memfd_create, which Linux offers")
            fd = os.memfd_create("fetalseg-frames", os.MFD_CLOEXEC)
            os.ftruncate(fd, size)
        self.fd = fd
        self.size = size
        self._memory = mmap.mmap(fd, size)
        self._used: list[Block] = []  # by offset

    def put(self, payload: bytes | memoryview) -> Block | None:
        """Copies a payload into a free block; None where there is no room."""
        start = 0
        needed = max(1, len(payload))  # a block without bytes still has a place of its own
        for position, block in enumerate([*self._used, Block(self.size, 0)]):
            if block.offset - start >= needed:
                new = Block(start, len(payload))
                self._memory[start : start + len(payload)] = payload
                self._used.insert(position, new)
                return new
            start = -(-(block.offset + max(1, block.length)) // _ALIGNMENT) * _ALIGNMENT
        return None

    def free(self, block: Block) -> None:
        """Gives a block back."""
        self._used.remove(block)

    def read(self, block: Block) -> bytes:
        """A copy of a block: what is decoded can't change under the decoder."""
        return self._memory[block.offset : block.offset + block.length]

    def close(self) -> None:
        """Unmaps the memory; the arena must not be used afterwards."""
        self._memory.close()
        os.close(self.fd)
