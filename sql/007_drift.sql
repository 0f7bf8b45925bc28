-- What the monitor finds beside single scores, and what it does about it.

-- A score tells where its quotes came from and which version made the forecast, so that a
-- recording and a live feed of one symbol, or two versions of a model, are never mixed up.
ALTER TABLE prediction_scores ADD COLUMN source text, ADD COLUMN model_version text;

-- The market's clock is by symbol and source: one step in this index for each.
CREATE INDEX option_features_source ON option_features (symbol, source, ts DESC);

CREATE TABLE drift_checks (
    symbol         text             NOT NULL,
    source         text             NOT NULL,
    at             timestamptz      NOT NULL,
    kind           text             NOT NULL CHECK (kind IN ('feature', 'residual', 'skill')),
    subject        text             NOT NULL,
    model_name     text             NOT NULL,
    model_version  text             NOT NULL,
    samples        integer          NOT NULL,
    effective      double precision,
    psi            double precision,
    psi_limit      double precision,
    ks             double precision,
    p_value        double precision,
    outside        double precision,
    skill          double precision,
    found          boolean,
    PRIMARY KEY (symbol, source, at, kind, subject)
);
COMMENT ON TABLE drift_checks IS
    'One finding of a check for drift at a time of the market''s clock: by feature against the '
    'training fold, by horizon of the champion''s errors against those of its first day, and by '
    'horizon of its skill against the best baseline.';
COMMENT ON COLUMN drift_checks.subject IS 'The feature''s name, or the horizon in seconds.';
COMMENT ON COLUMN drift_checks.effective IS
    'How many independent samples the dependent ones are worth.';
COMMENT ON COLUMN drift_checks.psi_limit IS 'The population stability index from which it drifts.';
COMMENT ON COLUMN drift_checks.outside IS 'Share of the samples beyond all of the reference.';
COMMENT ON COLUMN drift_checks.found IS 'NULL where there were too few samples to tell.';

CREATE TABLE retrainings (
    model_name     text             NOT NULL,
    requested_at   timestamptz      NOT NULL DEFAULT now(),
    reason         text             NOT NULL,
    launcher       text             NOT NULL CHECK (launcher IN ('process', 'job')),
    job            text,
    status         text             NOT NULL
        CHECK (status IN ('requested', 'running', 'succeeded', 'failed', 'lost')),
    ended_at       timestamptz,
    detail         text,
    PRIMARY KEY (model_name, requested_at)
);
COMMENT ON TABLE retrainings IS
    'Retrainings that the monitor asked for; the newest one''s time keeps the cool-down.';
