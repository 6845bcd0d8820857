"""The evidence store: every rollout, in one SQLite file. The only state of a run.

Writes are transactions: a batch is there whole or not at all, also after kill -9. Rows are inserted
with `INSERT OR IGNORE` on the evidence key, so a rollout that is sampled twice is stored once.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from rap_plugin.errors import RapError
from rap_plugin.evidence.schema import SCHEMA, SCHEMA_VERSION
from rap_plugin.evidence.variants import STATISTIC_COLUMNS
from rap_plugin.grading.base import Grade
from rap_plugin.rollout import Arm, Attention, ModelIdentity, Response, Sampling
from rap_plugin.samples.sample import Quarantined, Sample


@dataclass(frozen=True, slots=True)
class ProbeKey:
    """The part of the evidence key that all rollouts of one arm of a run share."""

    arm: Arm
    prompt_hash: str
    model_revision: str
    sampling: str
    """Canonical JSON of the settings that change the distribution of responses."""
    seed: int

    @staticmethod
    def of(arm: Arm, prompt_hash: str, identity: ModelIdentity, sampling: Sampling) -> ProbeKey:
        """The key under one model, prompt recipe and sampling setting."""
        settings = {
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "max_prompt_tokens": sampling.max_prompt_tokens,
            "max_new_tokens": sampling.max_new_tokens,
        }
        return ProbeKey(arm, prompt_hash, identity.revision, json.dumps(settings, sort_keys=True), sampling.seed)


@dataclass(frozen=True, slots=True)
class RolloutRecord:
    """One stored rollout as people and plugins read it."""

    sample: int
    arm: Arm
    rollout: int
    text: str
    tokens: int
    finish: str
    status: str
    grader: str | None
    verdict: str | None
    reward: float | None
    error: str = ""
    extracted: str | None = None
    log_psi: float | None = None
    """log psi of the variant that was asked for."""


@dataclass(frozen=True, slots=True)
class PoolSample:
    """What the store knows of a sample without its images."""

    sample: int
    row: int
    id: str
    question: str
    images: int
    pixels: int


class EvidenceStore:
    """One open `evidence.sqlite`. Safe to use from several threads of one process."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.path = path
        self._lock = threading.RLock()
        try:
            if read_only:
                self._db = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, check_same_thread=False)
            else:
                self._db = sqlite3.connect(path, check_same_thread=False, timeout=60)
                self._db.execute("PRAGMA journal_mode=WAL")
                self._db.execute("PRAGMA synchronous=FULL")
                self._check_version()
                self._db.executescript(SCHEMA)
            # 256 MiB of page cache: a decision over a large store then reads each page once.
            self._db.execute("PRAGMA cache_size=-262144")
            self._db.execute("SELECT count(*) FROM meta").fetchone()
        except sqlite3.Error as error:
            raise RapError(f"{path}: cannot open the evidence store ({error}); is it a run directory of rap?") from None

    def _check_version(self) -> None:
        (tables,) = self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if tables and version != SCHEMA_VERSION:
            raise RapError(
                f"{self.path}: evidence of schema version {version}, this rap reads {SCHEMA_VERSION}; use the rap that wrote it"
            )
        self._db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    def close(self) -> None:
        """Ends the connection; stored rows stay."""
        with self._lock:
            self._db.close()

    @contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                with self._db:
                    yield self._db
            except sqlite3.OperationalError as error:
                if "full" in str(error) or "disk I/O" in str(error):
                    raise RapError(
                        f"{self.path}: the disk is full; nothing stored is lost: free some space and run the same command again"
                    ) from None
                if "locked" in str(error):
                    raise RapError(
                        f"{self.path}: another rap process is writing here; wait for it or stop it"
                    ) from None
                raise

    # --- facts about the run ---

    def get_meta(self, name: str) -> str | None:
        """A stored fact, or None."""
        with self._lock:
            found = self._db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return found[0] if found else None

    def set_meta(self, name: str, value: str) -> None:
        """Stores a fact."""
        with self._write() as db:
            db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))

    # --- the pool ---

    def replace_pool(self, items: Iterable[Sample | Quarantined], fingerprint: str) -> None:
        """Records what ingest found, in one transaction; samples that are known keep their number and evidence."""
        with self._write() as db:
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
            db.execute("INSERT OR REPLACE INTO meta VALUES ('pool_fingerprint', ?)", (fingerprint,))

    def pool_counts(self) -> tuple[int, int, int]:
        """(rows, usable samples, usable samples with images)."""
        with self._lock:
            rows, usable = self._db.execute("SELECT count(*), count(sample) FROM pool").fetchone()
            pictured = self._db.execute(
                "SELECT count(*) FROM pool JOIN samples USING (sample) WHERE images > 0"
            ).fetchone()[0]
        return rows, usable, pictured

    def samples(self) -> list[PoolSample]:
        """The usable samples, in pool order."""
        with self._lock:
            found = self._db.execute(
                "SELECT sample, row, id, question, images, pixels FROM pool JOIN samples USING (sample) ORDER BY row"
            ).fetchall()
        return [PoolSample(*row) for row in found]

    def quarantine(self) -> list[Quarantined]:
        """The rows that ingest could not use, in pool order."""
        with self._lock:
            found = self._db.execute(
                "SELECT row, status, reason, quarantined_id FROM pool WHERE sample IS NULL ORDER BY row"
            ).fetchall()
        return [Quarantined(*row) for row in found]

    # --- probing ---

    def probe(self, key: ProbeKey) -> int:
        """The number of a probe, made on first use."""
        values = (key.arm, key.prompt_hash, key.model_revision, key.sampling, key.seed, SCHEMA_VERSION)
        where = (
            "arm = ? AND prompt_hash = ? AND model_revision = ? AND sampling = ? AND seed = ? AND schema_version = ?"
        )
        with self._lock:
            found = self._db.execute(f"SELECT probe FROM probes WHERE {where}", values).fetchone()
            if found:
                return int(found[0])
            with self._write() as db:
                cursor = db.execute(
                    "INSERT INTO probes (arm, prompt_hash, model_revision, sampling, seed, schema_version) "
                    "VALUES (?, ?, ?, ?, ?, ?)",
                    values,
                )
            return int(cursor.lastrowid or 0)

    def finished(self, probe: int) -> dict[int, int]:
        """For every sample with stored rollouts of this probe: a bit set of the rollout indices."""
        with self._lock:
            found = self._db.execute(
                "SELECT sample, sum(1 << rollout) FROM rollouts WHERE probe = ? GROUP BY sample", (probe,)
            ).fetchall()
        return dict(found)

    def add_rollouts(
        self,
        probe: int,
        batch: Sequence[tuple[int, Sequence[Response]]],
        attention: Mapping[tuple[int, int], Attention] | None = None,
        *,
        ledger: LedgerEntry | None = None,
    ) -> None:
        """Stores responses, ungraded, as (sample number, responses), in one transaction with their cost.

        `attention` maps (sample number, rollout) to what was measured in the same pass.
        """
        numbers, texts = [], []
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
                        *_attention_values(measured),
                    )
                )
                ids = array("i", response.token_ids).tobytes()
                text = response.text.encode("utf-8", "replace").decode()
                texts.append((sample, probe, response.rollout, text, ids, response.error, response.reward))
        columns = ", ".join(("attention", *STATISTIC_COLUMNS))
        marks = ", ".join("?" * (8 + len(STATISTIC_COLUMNS)))
        with self._write() as db:
            db.executemany(
                "INSERT OR IGNORE INTO rollouts (sample, probe, rollout, status, finish, prompt_tokens, tokens, "
                f"{columns}) VALUES ({marks})",
                numbers,
            )
            db.executemany(
                "INSERT OR IGNORE INTO responses (sample, probe, rollout, text, token_ids, error, engine_reward) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                texts,
            )
            if ledger is not None:
                ledger.insert(db)

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
        with self._lock:
            return self._db.execute(
                "SELECT sample, probe, rollout, text, gold, question, engine_reward FROM rollouts "
                "JOIN responses USING (sample, probe, rollout) JOIN samples USING (sample) "
                f"WHERE (sample, probe, rollout) > (?, ?, ?) AND probe IN ({_marks(probes)}) AND status = 'ok' "
                f"AND grader IS NOT ? {among} ORDER BY sample, probe, rollout LIMIT ?",
                (*after, *probes, grader, *(samples or ()), limit),
            ).fetchall()

    def set_grades(self, grader: str, grades: Sequence[tuple[int, int, int, Grade]], ledger: LedgerEntry) -> None:
        """Stores grades as (sample, probe, rollout, grade), replacing those of another grader."""
        with self._write() as db:
            db.executemany(
                "UPDATE rollouts SET grader = ?, verdict = ?, reward = ?, well_formatted = ? "
                "WHERE sample = ? AND probe = ? AND rollout = ?",
                [(grader, g.verdict, g.reward, g.well_formatted, s, p, r) for s, p, r, g in grades],
            )
            db.executemany(
                "UPDATE responses SET extracted = ?, grade_reason = ? WHERE sample = ? AND probe = ? AND rollout = ?",
                [(_clean(g.extracted), _clean(g.reason), s, p, r) for s, p, r, g in grades],
            )
            ledger.insert(db)

    # --- attention ---

    def unmeasured(self, probe: int) -> dict[int, list[int]]:
        """Answered rollouts of a probe whose attention was never looked at: rollout indices by sample."""
        with self._lock:
            found = self._db.execute(
                "SELECT sample, rollout FROM rollouts WHERE probe = ? AND status = 'ok' AND attention IS NULL", (probe,)
            ).fetchall()
        wanted: dict[int, list[int]] = {}
        for sample, rollout in found:
            wanted.setdefault(sample, []).append(rollout)
        return wanted

    def token_ids(self, probe: int, sample: int, rollouts: Sequence[int]) -> list[list[int]]:
        """The sampled tokens of some rollouts of a sample."""
        with self._lock:
            found = dict(
                self._db.execute(
                    f"SELECT rollout, token_ids FROM responses WHERE probe = ? AND sample = ? AND rollout IN ({_marks(rollouts)})",
                    (probe, sample, *rollouts),
                ).fetchall()
            )
        return [array("i", found[rollout]).tolist() for rollout in rollouts]

    def set_attention(self, probe: int, measured: Sequence[tuple[int, int, Attention]], ledger: LedgerEntry) -> None:
        """Stores attention statistics as (sample, rollout, attention)."""
        assignments = ", ".join(f"{column} = ?" for column in ("attention", *STATISTIC_COLUMNS))
        with self._write() as db:
            db.executemany(
                f"UPDATE rollouts SET {assignments} WHERE sample = ? AND probe = ? AND rollout = ?",
                [(*_attention_values(attention), sample, probe, rollout) for sample, rollout, attention in measured],
            )
            ledger.insert(db)

    # --- reading ---

    def records(self, probes: Mapping[Arm, int], samples: Sequence[int], psi: str | None = None) -> list[RolloutRecord]:
        """The stored rollouts of some samples, both arms; `psi` names the statistic to look up."""
        if psi is not None and psi not in STATISTIC_COLUMNS:
            raise RapError(f"unknown attention statistic {psi!r}; known: {', '.join(STATISTIC_COLUMNS)}")
        arms = {probe: arm for arm, probe in probes.items()}
        records: list[RolloutRecord] = []
        for start in range(0, len(samples), 500):
            some = samples[start : start + 500]
            with self._lock:
                found = self._db.execute(
                    "SELECT sample, probe, rollout, text, tokens, finish, status, grader, verdict, reward, error, extracted, "
                    f"{psi or 'NULL'} FROM rollouts JOIN responses USING (sample, probe, rollout) "
                    f"WHERE sample IN ({_marks(some)}) AND probe IN ({_marks(list(arms))}) ORDER BY sample, probe, rollout",
                    (*some, *arms),
                ).fetchall()
            records += [RolloutRecord(row[0], arms[row[1]], *row[2:]) for row in found]
        return records

    def query(self, sql: str, values: Sequence[object] = ()) -> sqlite3.Cursor:
        """A read-only look at the tables, for the columnar reader."""
        with self._lock:
            return self._db.execute(sql, values)

    def ledger(self) -> list[tuple[str, float, int, int, int]]:
        """Costs by stage: (stage, seconds, rollouts, prompt tokens, response tokens), summed over all entries."""
        with self._lock:
            return self._db.execute(
                "SELECT stage, sum(seconds), sum(rollouts), sum(prompt_tokens), sum(response_tokens) "
                "FROM ledger GROUP BY stage ORDER BY min(entry)"
            ).fetchall()

    def add_cost(self, entry: LedgerEntry) -> None:
        """Adds a cost that came with no rows."""
        with self._write() as db:
            entry.insert(db)


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """What one step cost: wall seconds and, where the engine worked, rollouts and tokens."""

    stage: str
    seconds: float
    rollouts: int = 0
    prompt_tokens: int = 0
    response_tokens: int = 0

    def insert(self, db: sqlite3.Connection) -> None:
        """Adds the entry inside the caller's transaction, so that a row and its cost are stored together."""
        started = datetime.now(timezone.utc).isoformat(timespec="seconds")
        db.execute(
            "INSERT INTO ledger (stage, started, seconds, rollouts, prompt_tokens, response_tokens) VALUES (?, ?, ?, ?, ?, ?)",
            (self.stage, started, self.seconds, self.rollouts, self.prompt_tokens, self.response_tokens),
        )


def _attention_values(attention: Attention | None) -> list[object]:
    if attention is None:
        return [None] * (1 + len(STATISTIC_COLUMNS))
    state = f"failed: {attention.error}" if attention.error else "measured"
    return [state, *(attention.statistics.get(column) for column in STATISTIC_COLUMNS)]


def _clean(text: str) -> str:
    # Lone surrogates cannot be stored as UTF-8; what a model wrote must never stop a run.
    return text.encode("utf-8", "replace").decode()


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))
