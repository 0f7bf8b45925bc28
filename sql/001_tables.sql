-- The four tables. The natural key is the primary key and holds the time column, as hypertables
-- ask. Times are UTC, volatilities decimals, a missing number is NULL.

CREATE TABLE spy_option_chain (
    symbol            text             NOT NULL,
    expiry            date             NOT NULL,
    strike            double precision NOT NULL,
    "right"           char(1)          NOT NULL CHECK ("right" IN ('C', 'P')),
    sampled_at        timestamptz      NOT NULL,
    source            text             NOT NULL,
    settlement        char(2)          NOT NULL DEFAULT 'PM',
    bid               double precision,
    ask               double precision,
    bid_size          double precision,
    ask_size          double precision,
    last              double precision,
    volume            double precision,
    open_interest     double precision,
    quote_time        timestamptz,
    vendor_iv         double precision,
    underlying_bid    double precision,
    underlying_ask    double precision,
    underlying_last   double precision,
    PRIMARY KEY (symbol, expiry, strike, "right", sampled_at)
);
CREATE INDEX spy_option_chain_instant ON spy_option_chain (symbol, sampled_at DESC, expiry);
COMMENT ON TABLE spy_option_chain IS 'Raw quotes of every sampled contract, of any symbol.';

CREATE TABLE option_features (
    symbol         text             NOT NULL,
    expiry         date             NOT NULL,
    ts             timestamptz      NOT NULL,
    source         text             NOT NULL,
    tau            double precision,
    underlying     double precision,
    forward        double precision,
    forward_error  double precision,
    discount       double precision,
    borrow         double precision,
    atm_vol        double precision,
    svi_a          double precision,
    svi_b          double precision,
    svi_rho        double precision,
    svi_m          double precision,
    svi_sigma      double precision,
    fit_error      double precision,
    butterfly_ok   boolean          NOT NULL,
    quotes_total   integer          NOT NULL,
    quotes_used    integer          NOT NULL,
    rejects        jsonb            NOT NULL DEFAULT '{}',
    grid_vol       double precision[] NOT NULL,
    grid_observed  boolean[]          NOT NULL,
    features       double precision[] NOT NULL,
    quote_strike   double precision[] NOT NULL,
    quote_bid_iv   double precision[] NOT NULL,
    quote_mid_iv   double precision[] NOT NULL,
    quote_ask_iv   double precision[] NOT NULL,
    reason         text,
    PRIMARY KEY (symbol, expiry, ts)
);
CREATE INDEX option_features_latest ON option_features (symbol, ts DESC, expiry);
COMMENT ON TABLE option_features IS
    'One expiry''s smile at one instant: forward, fit, the grid and the observed quotes.';

CREATE TABLE predicted_smile (
    symbol         text             NOT NULL,
    expiry         date             NOT NULL,
    made_at        timestamptz      NOT NULL,
    horizon_s      integer          NOT NULL,
    model_name     text             NOT NULL,
    target_at      timestamptz      NOT NULL,
    model_version  text             NOT NULL,
    role           text             NOT NULL CHECK (role IN ('champion', 'shadow', 'baseline')),
    source         text             NOT NULL,
    forward        double precision NOT NULL,
    smile          double precision[] NOT NULL,
    lower          double precision[] NOT NULL,
    upper          double precision[] NOT NULL,
    repaired       boolean          NOT NULL,
    note           text,
    latency_ms     double precision NOT NULL,
    PRIMARY KEY (symbol, expiry, made_at, horizon_s, model_name)
);
CREATE INDEX predicted_smile_target ON predicted_smile (symbol, target_at DESC, expiry);
COMMENT ON TABLE predicted_smile IS 'One forecast of one expiry''s grid smile at one horizon.';

CREATE TABLE prediction_scores (
    symbol                    text             NOT NULL,
    expiry                    date             NOT NULL,
    made_at                   timestamptz      NOT NULL,
    horizon_s                 integer          NOT NULL,
    model_name                text             NOT NULL,
    target_at                 timestamptz      NOT NULL,
    observed_at               timestamptz,
    role                      text             NOT NULL,
    quotes                    integer          NOT NULL,
    error_bp                  double precision,
    persistence_bp            double precision,
    filtered_persistence_bp   double precision,
    sticky_strike_bp          double precision,
    coverage                  double precision,
    half_spread_bp            double precision,
    PRIMARY KEY (symbol, expiry, made_at, horizon_s, model_name)
);
CREATE INDEX prediction_scores_target ON prediction_scores (symbol, target_at DESC);
COMMENT ON TABLE prediction_scores IS
    'Root mean square errors on the quotes observed at the target time, in basis points of '
    'volatility, beside each baseline''s. No quotes observed: quotes = 0 and NULL errors.';
