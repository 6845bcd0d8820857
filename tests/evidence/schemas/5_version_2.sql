CREATE TABLE IF NOT EXISTS meta (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS samples (
    sample INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    question TEXT NOT NULL,
    gold TEXT NOT NULL,
    source TEXT NOT NULL,
    images INTEGER NOT NULL,
    pixels INTEGER NOT NULL
);

CREATE TABLE IF NOT EXISTS pool (
    row INTEGER PRIMARY KEY,
    sample INTEGER REFERENCES samples(sample),
    status TEXT,
    reason TEXT,
    quarantined_id TEXT
);

CREATE TABLE IF NOT EXISTS probes (
    probe INTEGER PRIMARY KEY,
    arm TEXT NOT NULL,
    prompt_hash TEXT NOT NULL,
    model_revision TEXT NOT NULL,
    sampling TEXT NOT NULL,
    seed INTEGER NOT NULL,
    schema_version INTEGER NOT NULL,
    settings TEXT NOT NULL DEFAULT '{}',
    UNIQUE (arm, prompt_hash, model_revision, sampling, seed, schema_version, settings)
);

CREATE TABLE IF NOT EXISTS rollouts (
    sample INTEGER NOT NULL REFERENCES samples(sample),
    probe INTEGER NOT NULL REFERENCES probes(probe),
    rollout INTEGER NOT NULL,
    status TEXT NOT NULL,
    finish TEXT NOT NULL,
    prompt_tokens INTEGER NOT NULL,
    tokens INTEGER NOT NULL,
    grader TEXT,
    verdict TEXT,
    reward REAL,
    well_formatted INTEGER,
    attention TEXT,
    psi_window_max_5 REAL,
    psi_window_max_10 REAL,
    psi_window_max_20 REAL,
    psi_window_mean_5 REAL,
    psi_window_mean_10 REAL,
    psi_window_mean_20 REAL,
    psi_suffix_max_5 REAL,
    psi_suffix_max_10 REAL,
    psi_suffix_max_20 REAL,
    psi_suffix_mean_5 REAL,
    psi_suffix_mean_10 REAL,
    psi_suffix_mean_20 REAL,
    attention_entropy REAL,
    attempts INTEGER NOT NULL DEFAULT 1,
    measurements INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (sample, probe, rollout)
) WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS failed_rollouts ON rollouts (probe, rollout, attempts) WHERE status = 'engine_error';

CREATE INDEX IF NOT EXISTS failed_attention ON rollouts (probe, rollout, measurements) WHERE attention > 'failed:' AND attention < 'failed;';

CREATE TABLE IF NOT EXISTS responses (
    sample INTEGER NOT NULL,
    probe INTEGER NOT NULL,
    rollout INTEGER NOT NULL,
    text TEXT NOT NULL,
    token_ids BLOB NOT NULL,
    error TEXT NOT NULL,
    engine_reward REAL,
    extracted TEXT,
    grade_reason TEXT,
    PRIMARY KEY (sample, probe, rollout)
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS ledger (
    entry INTEGER PRIMARY KEY,
    stage TEXT NOT NULL,
    started TEXT NOT NULL,
    seconds REAL NOT NULL,
    rollouts INTEGER NOT NULL,
    prompt_tokens INTEGER NOT NULL,
    response_tokens INTEGER NOT NULL
);

CREATE VIEW IF NOT EXISTS evidence AS
SELECT samples.id AS sample_id, probes.arm, probes.prompt_hash, probes.model_revision, probes.sampling, probes.seed,
       probes.schema_version, probes.settings, rollouts.*, responses.text, responses.extracted, responses.error
FROM rollouts JOIN samples USING (sample) JOIN probes USING (probe) JOIN responses USING (sample, probe, rollout);

PRAGMA user_version = 2;
