"""`RapDataset`: verl's own data set over the rows that a run selected.

verl finds the class by `data.custom_cls.path=pkg://rap_plugin.verl_hooks data.custom_cls.name=RapDataset`. Only
`rap_plugin.verl_hooks` loads this file, when that name is asked for.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rap_plugin.errors import RapError
from rap_plugin.hosts.batches import repeat_rows
from rap_plugin.posterior.following import FollowOptions, wording_of
from rap_plugin.verl_hooks import contract
from rap_plugin.verl_hooks.curriculum import Curriculum
from rap_plugin.verl_hooks.followed import FollowedRows, beliefs_of_ids
from rap_plugin.verl_hooks.options import RENEWED, VerlOptions, for_validation, read_options, rows_per_batch
from rap_plugin.verl_hooks.rollout_counts import groups_of_batch
from rap_plugin.verl_hooks.rows import ChosenRows, find_rows, read_chosen

try:
    from verl.utils.dataset.rl_dataset import RLHFDataset
except ImportError as missing:
    raise RapError(f"RapDataset needs verl ({missing}); pip install 'rap-plugin[verl]'") from None

logger = logging.getLogger("rap_plugin.verl")

COLUMN = "rap_id"


class RapDataset(RLHFDataset):  # type: ignore[misc]
    """verl's data set with a run's selected rows only; validation files are left as they are.

    Rows keep their columns and order; verl's own filters (`train_max_samples`, overlong prompts) work on the selected
    rows. A column `rap_id` is added where there is none. With `data.rap.reweight` the position that verl's sampler asks
    for is replaced by the curriculum's next row, and the curriculum is part of the data loader's state.
    """

    dataframe: Any
    chosen: ChosenRows
    max_samples: int
    filter_overlong_prompts: bool

    def __init__(self, data_files: Any, tokenizer: Any, config: Any, processor: Any = None, **options: Any) -> None:
        self.rap: VerlOptions | None = None if for_validation(data_files, config) else read_options(config)
        self.curriculum: Curriculum | FollowedRows | None = None
        contract.require(contract.DATASET)
        super().__init__(data_files=data_files, tokenizer=tokenizer, config=config, processor=processor, **options)
        if self.rap is not None and self.rap.reweight:
            self.curriculum = self._make_curriculum(self.rap)
        elif self.rap is not None and self.rap.follow:
            self.curriculum = self._follow(self.rap)

    def _read_files_and_tokenize(self) -> None:
        if self.rap is None:
            super()._read_files_and_tokenize()
            return
        # First the selection, then what verl cuts and filters: a pool cut to 1,000 rows would hold few selected ones.
        limit, overlong = self.max_samples, self.filter_overlong_prompts
        self.max_samples, self.filter_overlong_prompts = -1, False
        try:
            super()._read_files_and_tokenize()
        finally:
            self.max_samples, self.filter_overlong_prompts = limit, overlong
        self.dataframe = self.maybe_filter_out_long_prompts(self._cut(self._selected(self.dataframe, self.rap)))
        if not len(self.dataframe):
            raise RapError(
                f"every selected row is longer than data.max_prompt_length={self.max_prompt_length}; raise it"
            )
        self.dataframe = self._filling_a_batch(self.dataframe, self.rap)

    def _selected(self, rows: Any, rap: VerlOptions) -> Any:
        # The next best are looked for where there is less than a batch: verl makes no step then.
        wanted = rows_per_batch(self.config) if rap.size_by == "fill" else 0
        chosen = read_chosen(Path(rap.run_dir), wanted, everything=rap.follow)
        self.chosen = chosen
        found = find_rows([str(file) for file in self.data_files], chosen)
        if len(found.ids) != len(rows):
            raise RapError(
                f"{', '.join(map(str, self.data_files))}: verl reads {len(rows)} rows and rap {len(found.ids)}; "
                "write the data as Parquet"
            )
        missing = len(chosen.counts) - len(found.numbers)
        lost = f"; {missing} selected samples are not in these files" if missing else ""
        what = "followed" if rap.follow else "selected"
        logger.warning("rap: %d of %d rows are %s in %s%s", len(found.numbers), len(rows), what, rap.run_dir, lost)
        if COLUMN not in rows.column_names:
            rows = rows.add_column(COLUMN, found.ids)
        return rows.select(found.numbers)

    def _cut(self, rows: Any) -> Any:
        """`train_max_samples` of the rows, chosen as verl chooses them from a whole file."""
        if not 0 < self.max_samples < len(rows):
            return rows
        if not self.shuffle:
            return rows.select(range(self.max_samples))
        draws = np.random.default_rng(self.seed)
        return rows.select(draws.choice(len(rows), size=self.max_samples, replace=False).tolist())

    def _filling_a_batch(self, rows: Any, rap: VerlOptions) -> Any:
        """The rows, repeated where they do not fill one batch: verl then makes no step, and divides by zero later."""
        wanted = rows_per_batch(self.config)
        if len(rows) >= wanted:
            return rows
        if rap.size_by == "fill":
            raise RapError(
                f"{len(rows)} selected rows do not fill one batch of {wanted} (data.train_batch_size, "
                f"data.gen_batch_size); set them to at most {len(rows)}, raise data.max_prompt_length or "
                "data.train_max_samples, or set +data.rap.size_by=repeat"
            )
        logger.warning("rap: %d rows are repeated to %d, the rows of a batch", len(rows), wanted)
        return rows.select(repeat_rows(range(len(rows)), wanted, self.seed or 0))

    def _make_curriculum(self, rap: VerlOptions) -> Curriculum:
        counts = self.chosen.counts
        ids = self.dataframe[COLUMN][:]
        right, wrong = np.array([counts[identity] for identity in ids], dtype=np.float64).T
        return Curriculum(ids, right, wrong, seed=self.seed or 0, fade=rap.fade)

    def _follow(self, rap: VerlOptions) -> FollowedRows:
        ids = self.dataframe[COLUMN][:]
        labels = [wording_of(_words(prompt)) for prompt in self.dataframe[self.prompt_key][:]]
        options = FollowOptions(
            responses=rap.responses,
            half_life=rap.half_life,
            strength=rap.strength,
            explore=rap.explore,
            image_weight=rap.image_weight,
            headroom=rap.headroom,
            seed=self.seed or 0,
            renew=rap.renew,
        )
        beliefs = beliefs_of_ids(Path(rap.run_dir), ids, labels)
        return FollowedRows(ids, beliefs, options, rows_per_batch(self.config))

    def __getitem__(self, item: int) -> Any:
        if self.curriculum is not None:
            item = self.curriculum.draw()
            if self.curriculum.draws == 2 * len(self) and not self.curriculum.learned:
                logger.warning(
                    "rap: two epochs without rollouts from training: %s needs RapReplayBuffer, see docs/verl.md",
                    "follow" if isinstance(self.curriculum, FollowedRows) else "reweight",
                )
        row = super().__getitem__(item)
        if self.rap is not None and self.rap.renew and isinstance(self.curriculum, FollowedRows):
            row[RENEWED] = self.curriculum.take_renewals(item)
        return row

    def on_batch_end(self, batch: Any) -> None:
        """verl's legacy trainer calls this with the finished batch; the other one reaches `learn` by `RapReplayBuffer`."""
        if self.curriculum is not None and self.rap is not None:
            if self.rap.renew:
                raise RapError(
                    "data.rap.renew works with verl's default trainer; leave it out with trainer.use_v1=False"
                )
            self.learn(groups_of_batch(batch, self.rap.right_at))

    def learn(self, groups: Mapping[str, tuple[int, int]]) -> None:
        """Takes in rollouts of the training itself: id -> (right, wrong)."""
        if self.curriculum is not None:
            self.curriculum.learn(groups)

    def learn_blind(self, groups: Mapping[str, tuple[int, int]]) -> None:
        """The same for rollouts without the image, where following renews what it knows of them."""
        if isinstance(self.curriculum, FollowedRows):
            self.curriculum.learn_blind(groups)

    def state_dict(self) -> dict[str, Any]:
        """Part of the state of verl's `StatefulDataLoader`; empty without a curriculum."""
        return {} if self.curriculum is None else {"curriculum": self.curriculum.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes up a saved state. A checkpoint of a run without `reweight` leaves the curriculum at the selection's evidence."""
        if self.curriculum is not None and "curriculum" in state:
            self.curriculum.load_state_dict(state["curriculum"])


def _words(prompt: Any) -> str:
    """The texts of a prompt, a text or messages of texts or parts."""
    if isinstance(prompt, str):
        return prompt
    contents = [message["content"] for message in prompt]
    parts = [part for content in contents for part in ([{"text": content}] if isinstance(content, str) else content)]
    return " ".join(str(part.get("text") or "") for part in parts)
