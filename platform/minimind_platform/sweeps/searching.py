"""Beginning and opening sweeps from a program.

sweep = platform.sweep("sft", {"data_path": "sft.jsonl"}, search=["learning_rate"], n_trials=20)
sweep = platform.open_sweep("first")
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Unpack, cast

from minimind_platform.sweeps.asking import Function
from minimind_platform.sweeps.handle import SweepHandle
from minimind_platform.sweeps.spec import SweepOptions

if TYPE_CHECKING:
    from minimind_platform.service import Platform
    from minimind_platform.sweeps.service import Sweeps


class Searching:
    """The part of `Platform` that begins and opens sweeps for a program."""

    if TYPE_CHECKING:
        sweeps: Sweeps

    def sweep(
        self,
        type: str,  # noqa: A002
        values: Mapping[str, Any] | Function,
        search: Sequence[str] | Mapping[str, Any] | Function | None = None,
        *,
        metric: str = "",
        direction: str = "",
        objectives: Sequence[Any] = (),
        name: str = "",
        key: str = "",
        **options: Unpack[SweepOptions],
    ) -> SweepHandle:
        """Begin a sweep; returns at once.

        Args:
            type: training type.
            values: settings that are the same in all trials. Or a function, as `search`.
            search: settings to search, by name, with their usual ranges; or with ranges by name: (low, high), a list
                of choices, or a dict with `low`, `high`, `log`, `step`, `choices`, `when`. Or a function that takes an
                Optuna trial and returns settings; it is called while this program waits for the sweep.
            metric: what is made small or large; the usual of that type when left out.
            direction: minimize or maximize; the usual of that metric when left out.
            objectives: several, instead: metrics, or dicts with `metric`, `direction` and `taken`.
            name: one of a kind.
            key: the same key gives the same sweep, however often it is begun, as by a program that is started again.
            options: those of docs/sweeps.md: n_trials, parallel, sampler, pruner, seed, hours and so on.

        Raises:
            SettingsError: with all problems.
            TrackingUnavailableError: the tracking server does not answer; nothing was made.
        """
        if callable(values):
            if search is not None:
                raise TypeError(
                    "Give the function as search, where there are settings that are the same in all trials."
                )
            values, search = {}, values
        if objectives and (metric or direction):
            raise TypeError("Give either metric and direction, or objectives.")
        if metric or direction:
            objectives = [{"metric": metric} | ({"direction": direction} if direction else {})]
        function, space = (search, None) if callable(search) else (None, [] if search is None else search)
        made = self.sweeps.create(type, values, space, name=name, options=options, objectives=objectives, key=key)
        return SweepHandle(cast("Platform", self), made.id, function)

    def open_sweep(self, id: str) -> SweepHandle:  # noqa: A002
        """A sweep by its id, the begin of it, or its name."""
        return SweepHandle(cast("Platform", self), self.sweeps.get(id).id)
