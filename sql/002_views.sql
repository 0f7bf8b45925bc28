-- The arrays as one row per point, for SQL users and Grafana. z is standardised moneyness.

CREATE VIEW smile_points AS
SELECT f.symbol, f.expiry, f.ts, f.source,
       -2.5 + 0.25 * (p.place - 1)                                       AS z,
       (-2.5 + 0.25 * (p.place - 1)) * f.grid_vol[11] * sqrt(f.tau)      AS log_moneyness,
       p.vol, p.observed
FROM option_features f,
     LATERAL unnest(f.grid_vol, f.grid_observed) WITH ORDINALITY AS p (vol, observed, place)
WHERE f.reason IS NULL;

CREATE VIEW forecast_points AS
SELECT s.symbol, s.expiry, s.made_at, s.horizon_s, s.target_at, s.model_name, s.model_version,
       s.role, -2.5 + 0.25 * (p.place - 1) AS z, p.vol, p.lower, p.upper
FROM predicted_smile s,
     LATERAL unnest(s.smile, s.lower, s.upper) WITH ORDINALITY AS p (vol, lower, upper, place);

CREATE VIEW quote_points AS
SELECT f.symbol, f.expiry, f.ts, p.strike, ln(p.strike / f.forward) AS log_moneyness,
       p.bid_iv, p.mid_iv, p.ask_iv
FROM option_features f,
     LATERAL unnest(f.quote_strike, f.quote_bid_iv, f.quote_mid_iv, f.quote_ask_iv)
         AS p (strike, bid_iv, mid_iv, ask_iv)
WHERE f.forward IS NOT NULL;
