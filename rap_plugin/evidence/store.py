"""The evidence store: every rollout, in one SQLite file. The only state of a run.

What is written and looked up while a pool is probed stands here; `table` reads the whole as columns.

Writes are transactions: a batch is there whole or not at all, also after kill -9. Rows are inserted
with `INSERT OR IGNORE` on the evidence key, so a rollout that is sampled twice is stored once.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from sqlite3 import Connection
from typing import Any

from rap_plugin.errors import Option, RapError
from rap_plugin.evidence.damage import damaged, names_damage
from rap_plugin.evidence.database import Database
from rap_plugin.evidence.records import Failures, LedgerEntry, PoolSample, ProbeKey, RolloutRecord, attention_values
from rap_plugin.evidence.schema import ATTENTION_FAILED, ROLLOUT_FAILED, ROLLOUT_VERSION
from rap_plugin.evidence.traces import insert_traces
from rap_plugin.evidence.variants import STATISTIC_COLUMNS
from rap_plugin.grading.base import Grade
from rap_plugin.rollout import Arm, Attention, Response
from rap_plugin.samples.sample import Quarantined, Sample


class EvidenceStore(Database):
    """One open `evidence.sqlite`. Safe to use from several threads of one process."""

    # --- the pool ---

    def replace_pool(self, items: Iterable[Sample | Quarantined], fingerprint: str, *, keep: bool = False) -> None:
        """Records what ingest found, in one transaction; samples that are known keep their number and evidence.

        With `keep`, a pool that lacks samples of the one before is a RapError and changes nothing.
        """
        with self.transaction() as db:
            before = (
                {row[0] for row in db.execute("SELECT sample FROM pool WHERE sample IS NOT NULL")} if keep else set()
            )
            db.execute("DELETE FROM pool")
            for item in items:
                if isinstance(item, Quarantined):
                    values = (item.row, item.status, item.reason, item.id)
                    db.execute("INSERT INTO pool VALUES (?, NULL, ?, ?, ?)", values)
                    continue
                pixels = sum(width * height for width, height in item.image_sizes)
                db.execute(
                    "INSERT OR IGNORE INTO samples (id, question, gold, source, images, pixels) VALUES (?, ?, ?, ?, ?, ?)",
                    (item.id, item.question, item.gold, item.source, len(item.images), pixels),
                )
                db.execute(
                    "INSERT INTO pool SELECT ?, sample, NULL, NULL, NULL FROM samples WHERE id = ?", (item.row, item.id)
                )
            gone = before - {row[0] for row in db.execute("SELECT sample FROM pool WHERE sample IS NOT NULL")}
            if gone:
                raise RapError(
                    f"{self.path.parent}: {len(gone):,} of {len(before):,} samples of this run are gone from the pool or changed "
                    "in it; choose another ",
                    Option("out"),
                    ", or add ",
                    Option("extend"),
                    " to go on with the pool as it is now",
                )
            db.execute("INSERT OR REPLACE INTO meta VALUES ('pool_fingerprint', ?)", (fingerprint,))

    def pool_counts(self) -> tuple[int, int, int]:
        """(rows, usable samples, usable samples with images)."""
        found = self.rows(
            "SELECT count(*), count(sample), coalesce(sum(images > 0), 0) FROM pool LEFT JOIN samples USING (sample)"
        )
        rows, usable, pictured = found[0]
        return rows, usable, pictured

    def samples(self) -> list[PoolSample]:
        """The usable samples, in pool order."""
        found = self.rows(
            "SELECT sample, row, id, question, images, pixels FROM pool JOIN samples USING (sample) ORDER BY row"
        )
        if not all(isinstance(images, int) and isinstance(pixels, int) for *_, images, pixels in found):
            raise damaged(self.path, "the images of a sample are not counted by a number")
        return [PoolSample(*row) for row in found]

    def golds(self) -> dict[int, str]:
        """The gold answers of all known samples, by number."""
        return dict(self.rows("SELECT sample, gold FROM samples"))

    def quarantine(self) -> list[Quarantined]:
        """The rows that ingest could not use, in pool order."""
        found = self.rows("SELECT row, status, reason, quarantined_id FROM pool WHERE sample IS NULL ORDER BY row")
        return [Quarantined(*row) for row in found]

    # --- probing ---

    def probe(self, key: ProbeKey) -> int:
        """The number of a probe, made on first use. One that knew less of its settings learns those of the key."""
        with self._lock:
            found = self._matching(key)
            if found is None:
                with self.transaction() as db:
                    cursor = db.execute(
                        "INSERT INTO probes (arm, prompt_hash, model_revision, sampling, seed, schema_version, settings) "
                        "VALUES (?, ?, ?, ?, ?, ?, ?)",
                        (*_shared_part(key), json.dumps(dict(key.settings), sort_keys=True)),
                    )
                return int(cursor.lastrowid or 0)
            number, known = found
            if not key.settings.keys() <= known.keys():
                with self.transaction() as db:
                    learnt = json.dumps({**known, **key.settings}, sort_keys=True)
                    db.execute("UPDATE probes SET settings = ? WHERE probe = ?", (learnt, number))
            return number

    def find_probe(self, key: ProbeKey) -> int | None:
        """The number of a probe, None where nothing was ever sampled under this key."""
        found = self._matching(key)
        return found[0] if found else None

    def settings(self, probe: int) -> dict[str, Any]:
        """What is known of the settings of a probe."""
        found = self.rows("SELECT settings FROM probes WHERE probe = ?", (probe,))
        return dict(json.loads(found[0][0])) if found else {}

    def learn(self, probe: int, **settings: str | int) -> None:
        """Adds settings of a probe that were not known when it was made; known ones stay."""
        known = self.settings(probe)
        if settings.keys() <= known.keys():
            return
        with self._lock, self.transaction() as db:
            text = json.dumps({**settings, **known}, sort_keys=True)
            db.execute("UPDATE probes SET settings = ? WHERE probe = ?", (text, probe))

    @names_damage
    def _matching(self, key: ProbeKey) -> tuple[int, dict[str, Any]] | None:
        """The probe that no setting contradicts; of several the one that agrees in most, then the oldest."""
        found = self.rows(
            "SELECT probe, settings FROM probes WHERE arm = ? AND prompt_hash = ? AND model_revision = ? AND sampling = ? "
            "AND seed = ? AND schema_version = ? ORDER BY probe",
            _shared_part(key),
        )
        best: tuple[int, dict[str, Any]] | None = None
        most = -1
        for number, text in found:
            known = dict(json.loads(text))
            both = known.keys() & key.settings.keys()
            if all(known[name] == key.settings[name] for name in both) and len(both) > most:
                best, most = (number, known), len(both)
        return best

    def finished(self, probe: int, attempts: int = 1) -> dict[int, int]:
        """For every sample with final rollouts of this probe: a bit set of the rollout indices.

        A rollout that the engine failed on is final when it was tried `attempts` times.
        """
        found = self.rows(
            "SELECT sample, sum(1 << rollout) FROM rollouts WHERE probe = ? AND (status != 'engine_error' OR attempts >= ?) "
            "GROUP BY sample",
            (probe, attempts),
        )
        return dict(found)

    def add_rollouts(
        self,
        probe: int,
        batch: Sequence[tuple[int, Sequence[Response]]],
        attention: Mapping[tuple[int, int], Attention] | None = None,
        *,
        ledger: LedgerEntry | None = None,
        traces: Mapping[tuple[int, int], str] | None = None,
    ) -> None:
        """Stores responses, ungraded, as (sample number, responses), in one transaction with their cost.

        `attention` maps (sample number, rollout) to what was measured in the same pass, `traces` to how the answer came about. A stored rollout stays as it is,
        unless the engine failed on it: then the new one takes its place and counts the attempts.
        """
        numbers, texts = [], []
        failed = self._failed_attempts(probe, [sample for sample, _ in batch])
        for sample, responses in batch:
            for response in responses:
                measured = (attention or {}).get((sample, response.rollout))
                numbers.append(
                    (
                        sample,
                        probe,
                        response.rollout,
                        response.status,
                        response.finish,
                        response.prompt_tokens,
                        len(response.token_ids),
                        1 + failed.get((sample, response.rollout), 0),
                        int(measured is not None),
                        *attention_values(measured),
                    )
                )
                ids = array("i", response.token_ids).tobytes()
                text = response.text.encode("utf-8", "replace").decode()
                texts.append((sample, probe, response.rollout, text, ids, response.error, response.reward))
        columns = ", ".join(("attention", *STATISTIC_COLUMNS))
        marks = ", ".join("?" * (10 + len(STATISTIC_COLUMNS)))
        again = [(sample, probe, rollout) for sample, _, rollout, *_ in numbers if (sample, rollout) in failed]
        with self.transaction() as db:
            for name in ("rollouts", "responses", "traces"):
                db.executemany(f"DELETE FROM {name} WHERE sample = ? AND probe = ? AND rollout = ?", again)
            db.executemany(
                "INSERT OR IGNORE INTO rollouts (sample, probe, rollout, status, finish, prompt_tokens, tokens, attempts, "
                f"measurements, {columns}) VALUES ({marks})",
                numbers,
            )
            db.executemany(
                "INSERT OR IGNORE INTO responses (sample, probe, rollout, text, token_ids, error, engine_reward) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                texts,
            )
            insert_traces(db, probe, traces or {})
            if ledger is not None:
                _book(db, ledger)

    def _failed_attempts(self, probe: int, samples: Sequence[int]) -> dict[tuple[int, int], int]:
        """How often each rollout that the engine failed on was tried, by (sample, rollout)."""
        found = self.rows(
            f"SELECT sample, rollout, attempts FROM rollouts WHERE probe = ? AND {ROLLOUT_FAILED} "
            f"AND sample IN ({_marks(samples)})",
            (probe, *samples),
        )
        return {(sample, rollout): attempts for sample, rollout, attempts in found}

    def failed(self, probe: int, attempts: int | None = None) -> dict[int, int]:
        """Samples with rollouts that the engine failed on, with a bit set of these; only those tried fewer than `attempts` times."""
        found = self.rows(
            f"SELECT sample, sum(1 << rollout) FROM rollouts WHERE probe = ? AND {ROLLOUT_FAILED} AND attempts < ? "
            "GROUP BY sample",
            (probe, attempts or 1 << 32),
        )
        return dict(found)

    def has_answers(self, probes: Sequence[int]) -> bool:
        """Whether any rollout of these probes has a response."""
        sql = f"SELECT EXISTS (SELECT 1 FROM rollouts WHERE probe IN ({_marks(probes)}) AND status = 'ok')"
        return bool(self.rows(sql, probes)[0][0])

    def failures(self, probes: Sequence[int], rollouts: int, attempts: int) -> Failures:
        """What the engine failed on among the first `rollouts` of these probes, and how much of it is final."""
        counts: list[int] = []
        for failed, tried in ((ROLLOUT_FAILED, "attempts"), (ATTENTION_FAILED, "measurements")):
            found = self.rows(
                f"SELECT count(*), coalesce(sum({tried} >= ?), 0) FROM rollouts "
                f"WHERE probe IN ({_marks(probes)}) AND rollout < ? AND {failed}",
                (attempts, *probes, rollouts),
            )
            counts += found[0]
        return Failures(*counts)

    # --- grading ---

    def ungraded(
        self,
        probes: Sequence[int],
        grader: str,
        *,
        samples: Sequence[int] | None = None,
        after: tuple[int, int, int] = (-1, -1, -1),
        limit: int = 1000,
    ) -> list[tuple[int, int, int, str, str, str, float | None]]:
        """Answered rollouts without a grade of this grader: (sample, probe, rollout, text, gold, question, reward).

        `reward` is what the engine's own side said, None with engines that have no opinion.

        In key order, behind the key `after`, so that a caller walks a large store once; `samples` narrows
        the look to some samples.
        """
        among = f"AND sample IN ({_marks(samples)})" if samples is not None else ""
        return self.rows(
            "SELECT sample, probe, rollout, text, gold, question, engine_reward FROM rollouts "
            "JOIN responses USING (sample, probe, rollout) JOIN samples USING (sample) "
            f"WHERE (sample, probe, rollout) > (?, ?, ?) AND probe IN ({_marks(probes)}) AND status = 'ok' "
            f"AND grader IS NOT ? {among} ORDER BY sample, probe, rollout LIMIT ?",
            (*after, *probes, grader, *(samples or ()), limit),
        )

    def set_grades(self, grader: str, grades: Sequence[tuple[int, int, int, Grade]], ledger: LedgerEntry) -> None:
        """Stores grades as (sample, probe, rollout, grade), replacing those of another grader."""
        with self.transaction() as db:
            db.executemany(
                "UPDATE rollouts SET grader = ?, verdict = ?, reward = ?, well_formatted = ? "
                "WHERE sample = ? AND probe = ? AND rollout = ?",
                [(grader, g.verdict, g.reward, g.well_formatted, s, p, r) for s, p, r, g in grades],
            )
            db.executemany(
                "UPDATE responses SET extracted = ?, grade_reason = ? WHERE sample = ? AND probe = ? AND rollout = ?",
                [(_clean(g.extracted), _clean(g.reason), s, p, r) for s, p, r, g in grades],
            )
            _book(db, ledger)

    # --- attention ---

    def unmeasured(self, probe: int, attempts: int = 1) -> dict[int, list[int]]:
        """Answered rollouts of a probe whose attention is to be looked at: rollout indices by sample.

        Those are the ones that nobody has tried, and those that failed fewer than `attempts` times.
        """
        found = self.rows(
            "SELECT sample, rollout FROM rollouts WHERE probe = ? AND status = 'ok' "
            f"AND (attention IS NULL OR ({ATTENTION_FAILED} AND measurements < ?))",
            (probe, attempts),
        )
        wanted: dict[int, list[int]] = {}
        for sample, rollout in found:
            wanted.setdefault(sample, []).append(rollout)
        return wanted

    def token_ids(self, probe: int, sample: int, rollouts: Sequence[int]) -> list[list[int]]:
        """The sampled tokens of some rollouts of a sample."""
        found = dict(
            self.rows(
                f"SELECT rollout, token_ids FROM responses WHERE probe = ? AND sample = ? AND rollout IN ({_marks(rollouts)})",
                (probe, sample, *rollouts),
            )
        )
        return [array("i", found[rollout]).tolist() for rollout in rollouts]

    def set_attention(self, probe: int, measured: Sequence[tuple[int, int, Attention]], ledger: LedgerEntry) -> None:
        """Stores attention statistics as (sample, rollout, attention)."""
        assignments = ", ".join(f"{column} = ?" for column in ("attention", *STATISTIC_COLUMNS))
        with self.transaction() as db:
            db.executemany(
                f"UPDATE rollouts SET {assignments}, measurements = measurements + 1 "
                "WHERE sample = ? AND probe = ? AND rollout = ?",
                [(*attention_values(attention), sample, probe, rollout) for sample, rollout, attention in measured],
            )
            _book(db, ledger)

    # --- reading ---

    def records(self, probes: Mapping[Arm, int], samples: Sequence[int], psi: str | None = None) -> list[RolloutRecord]:
        """The stored rollouts of some samples, both arms; `psi` names the statistic to look up."""
        if psi is not None and psi not in STATISTIC_COLUMNS:
            raise RapError(f"unknown attention statistic {psi!r}; known: {', '.join(STATISTIC_COLUMNS)}")
        arms = {probe: arm for arm, probe in probes.items()}
        records: list[RolloutRecord] = []
        for start in range(0, len(samples), 500):
            some = samples[start : start + 500]
            found = self.rows(
                "SELECT sample, probe, rollout, text, tokens, finish, status, grader, verdict, reward, error, extracted, "
                f"grade_reason, {psi or 'NULL'} FROM rollouts JOIN responses USING (sample, probe, rollout) "
                f"WHERE sample IN ({_marks(some)}) AND probe IN ({_marks(list(arms))}) ORDER BY sample, probe, rollout",
                (*some, *arms),
            )
            if not all(isinstance(row[3], str) for row in found):
                raise damaged(self.path, "a response is no text")
            records += [RolloutRecord(row[0], arms[row[1]], *row[2:]) for row in found]
        return records

    def graders(self, probes: Sequence[int]) -> list[str]:
        """The ids of the graders whose grades are stored, in alphabetical order."""
        found = self.rows(
            f"SELECT DISTINCT grader FROM rollouts WHERE grader IS NOT NULL AND probe IN ({_marks(probes)})", probes
        )
        return sorted(row[0] for row in found)

    def rollout_count(self) -> int:
        """All stored rollouts, whatever they were sampled with."""
        return int(self.rows("SELECT count(*) FROM rollouts")[0][0])

    def ledger(self) -> list[tuple[str, float, int, int, int]]:
        """Costs by stage: (stage, seconds, rollouts, prompt tokens, response tokens), summed over all entries."""
        return self.rows(
            "SELECT stage, sum(seconds), sum(rollouts), sum(prompt_tokens), sum(response_tokens) "
            "FROM ledger GROUP BY stage ORDER BY min(entry)"
        )

    def add_cost(self, entry: LedgerEntry) -> None:
        """Adds a cost that came with no rows."""
        with self.transaction() as db:
            _book(db, entry)


def _shared_part(key: ProbeKey) -> tuple[str | int, ...]:
    return key.arm, key.prompt_hash, key.model_revision, key.sampling, key.seed, ROLLOUT_VERSION


def _book(db: Connection, entry: LedgerEntry) -> None:
    # Inside the caller's transaction, so that rows and their cost are stored together.
    started = datetime.now(timezone.utc).isoformat(timespec="seconds")
    db.execute(
        "INSERT INTO ledger (stage, started, seconds, rollouts, prompt_tokens, response_tokens) VALUES (?, ?, ?, ?, ?, ?)",
        (entry.stage, started, entry.seconds, entry.rollouts, entry.prompt_tokens, entry.response_tokens),
    )


def _clean(text: str) -> str:
    # Lone surrogates cannot be stored as UTF-8; what a model wrote must never stop a run.
    return text.encode("utf-8", "replace").decode()


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))
