"""`rap report --attention`: the model reads stored responses again, and the report shades their tokens."""

from __future__ import annotations

import json
import math
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from rap_plugin.cli import cli
from rap_plugin.config import load_config
from rap_plugin.demo import MODEL_DIR, POOL_PATH
from rap_plugin.evidence.store import EvidenceStore
from rap_plugin.evidence.tokens import read_tokens
from rap_plugin.evidence.variants import Variant
from rap_plugin.pipeline.select import select_run

pytest.importorskip("transformers", reason="the embedded model needs the extra hf")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    flags = {
        "pool.path": str(POOL_PATH), "pool.limit": 16, "model.id": str(MODEL_DIR), "model.device": "cpu",
        "prompt.instruction": "", "sampling.max_new_tokens": 64, "sampling.rollouts": 3, "selection.lambda_c": 0.0,
    }  # fmt: skip
    run = tmp_path_factory.mktemp("shaded") / "run"
    select_run(load_config(flags=flags), run, quiet=True)
    result = CliRunner().invoke(cli, ["report", str(run), "--attention", "10"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return run


def test_the_shares_of_ten_samples_are_stored_and_psi_is_that_of_the_marked_token(run: Path) -> None:
    variant = Variant("window", "max", 10)
    with closing(EvidenceStore(run / "evidence.sqlite")) as store:
        rows = store.rows(
            f"SELECT sample, probe, rollout, text, {variant.column}, tokens FROM token_attention "
            "JOIN rollouts USING (sample, probe, rollout) JOIN responses USING (sample, probe, rollout)"
        )
        assert len(rows) == 30
        for sample, probe, rollout, text, log_psi, tokens in rows:
            seen = read_tokens(store, probe, variant, [sample])[sample, rollout]
            assert len(seen.shares) == tokens
            assert seen.ends[-1] == len(text)
            usable = sum(not math.isnan(share) for share in seen.shares)
            if usable > 1:
                # float16 holds three digits of a share, and psi is its tenth power.
                assert 10 * math.log(2 * seen.shares[seen.hot]) == pytest.approx(log_psi, abs=0.02)


def test_the_report_shades_them_and_names_the_marked_token_in_words(run: Path) -> None:
    page = (run / "report.html").read_text(encoding="utf-8")
    assert len(re.findall(r'<span class="shaded">', page)) == 30
    assert len(re.findall(r'<mark class="s\d">', page)) == 30
    assert page.count("; most attention on “") == 30


def test_a_second_call_reads_nothing_again_and_another_report_needs_no_model(run: Path) -> None:
    first = (run / "report.html").read_bytes()
    again = CliRunner().invoke(cli, ["report", str(run), "--attention", "10"], catch_exceptions=False)
    assert "attention by token" not in again.stderr
    CliRunner().invoke(cli, ["report", str(run)], catch_exceptions=False)
    assert (run / "report.html").read_bytes() == first


def test_another_model_than_the_run_s_is_refused(run: Path, tmp_path: Path) -> None:
    import shutil

    copy = shutil.copytree(run, tmp_path / "copy")
    about = json.loads((copy / "run.json").read_text())
    about["model"]["revision"] = "another"
    (copy / "run.json").write_text(json.dumps(about))
    with closing(sqlite3.connect(copy / "evidence.sqlite")) as db, db:
        db.execute("UPDATE probes SET model_revision = 'another'")
        db.execute("DELETE FROM token_attention")
    refused = CliRunner().invoke(cli, ["report", str(copy), "--attention", "3"])
    assert refused.exit_code != 0
    assert "revision another of the model" in str(refused.exception or refused.output) + refused.output
