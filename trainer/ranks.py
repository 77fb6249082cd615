"""The processes that train one model together, as one of them sees the others. A training of one process has this
too; nothing in it then waits or sends.

    mine = session.ranks.part(row_numbers, rows.lengths)
    targets, tokens = session.ranks.totals([targets, tokens])
"""

import contextlib
import heapq
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from trainer.names import Env

if TYPE_CHECKING:
    import torch

STUCK = timedelta(hours=1)
"""How long a process waits for the others: as long as the first may need to write a checkpoint. A process that has
ended is noticed at once by the launcher, whatever this says."""
TOKENISING = timedelta(days=7)


@dataclass
class Ranks:
    """Which of how many processes this is. What it sums goes between the processors, never through a GPU, so that no
    GPU waits for it."""

    rank: int = 0
    count: int = 1
    _store: Any = None
    _turns: int = 0

    @classmethod
    def from_environment(cls) -> "Ranks":
        """As the launcher says; one process without it."""
        return cls(int(os.environ.get(Env.RANK, "0")), int(os.environ.get(Env.RANKS, "1")))

    @property
    def first(self) -> bool:
        """Whether this process keeps the record and writes the files."""
        return self.rank == 0

    def join(self, device: "torch.device") -> None:
        """Meet the others. The launcher holds the port open, so that nobody else can take it."""
        import torch
        from torch.distributed import PrefixStore, TCPStore  # pyright: ignore[reportPrivateImportUsage]

        if self.count == 1:
            return
        socket = int(os.environ[Env.STORE_SOCKET]) if self.first else None
        self._store = TCPStore(
            "127.0.0.1",
            int(os.environ[Env.STORE_PORT]),
            self.count,
            is_master=self.first,
            wait_for_workers=False,
            master_listen_fd=socket,
        )
        if device.type == "cuda":
            torch.cuda.set_device(device)
        torch.distributed.init_process_group(
            "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo",
            store=PrefixStore("group", self._store),
            rank=self.rank,
            world_size=self.count,
            timeout=STUCK,
        )

    def leave(self) -> None:
        """Part from the others when all are done."""
        import torch

        if self.count > 1:
            torch.distributed.destroy_process_group()

    @contextlib.contextmanager
    def in_turn(self) -> Iterator[None]:
        """The first process does the body, then the others do: what it downloads or tokenises is there for them."""
        self._turns += 1
        done = f"turn/{self._turns}"
        if self.count > 1 and not self.first:
            self._store.wait([done], TOKENISING)
        yield
        if self.count > 1 and self.first:
            self._store.set(done, "")

    def totals(self, values: Sequence[float]) -> list[float]:
        """The sum of each value over all processes."""
        if self.count == 1:
            return list(values)
        import torch

        return self.total(torch.tensor(values, dtype=torch.float64)).tolist()

    def total(self, tensor: "torch.Tensor") -> "torch.Tensor":
        """The sum over all processes of a tensor on the CPU."""
        if self.count > 1:
            import torch

            torch.distributed.all_reduce(tensor)
        return tensor

    def stacked(self, tensor: "torch.Tensor") -> "list[torch.Tensor]":
        """The tensors of all processes, on the CPU and of the same shape, by rank."""
        if self.count == 1:
            return [tensor]
        import torch

        parts = [torch.empty_like(tensor) for _ in range(self.count)]
        torch.distributed.all_gather(parts, tensor)
        return parts

    def all(self, yes: bool) -> bool:
        """Whether it is so in every process."""
        return self.totals([float(not yes)]) == [0.0]

    def post(self, name: str, value: float) -> None:
        """Leave a number for `posted`; from any thread, without waiting."""
        if self.count > 1:
            self._store.set(f"{name}/{self.rank}", str(value))

    def posted(self, name: str) -> list[float]:
        """The numbers that the others have left so far."""
        others = [f"{name}/{rank}" for rank in range(self.count) if rank != self.rank]
        return [float(self._store.get(key)) for key in others if self._store.check([key])]

    def part(self, indices: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """The rows of a batch that this process takes, in their order; all together take each row once.

        The longest row goes to whoever has the fewest tokens yet, then the next, so that nobody waits long for others.

        Args:
            indices: rows of the batch.
            lengths: tokens of every row of the data.

        Returns:
            Nothing, for some processes, if the batch has fewer rows than there are processes.
        """
        if self.count == 1:
            return indices
        loads = [(0, rank) for rank in range(self.count)]
        mine = []
        for place in np.argsort(-lengths[indices], kind="stable"):
            tokens, rank = heapq.heappop(loads)
            heapq.heappush(loads, (tokens + int(lengths[indices[place]]), rank))
            if rank == self.rank:
                mine.append(place)
        return indices[np.sort(np.array(mine, dtype=np.int64))]
