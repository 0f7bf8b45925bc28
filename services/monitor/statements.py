"""The SQL of the monitor; each statement looks through a bounded range of an index."""

# Each symbol by one step in the index, whatever the number of rows, and then each source.
CLOCKS = """
WITH RECURSIVE known AS (
    (SELECT symbol FROM option_features ORDER BY symbol LIMIT 1)
    UNION ALL
    SELECT (SELECT f.symbol FROM option_features f WHERE f.symbol > k.symbol
            ORDER BY f.symbol LIMIT 1)
    FROM known k WHERE k.symbol IS NOT NULL)
SELECT k.symbol, s.source, n.ts
FROM known k CROSS JOIN unnest(%(sources)s) AS s (source)
CROSS JOIN LATERAL (
    SELECT f.ts FROM option_features f WHERE f.symbol = k.symbol AND f.source = s.source
    ORDER BY f.ts DESC LIMIT 1) n
WHERE k.symbol IS NOT NULL"""

# None of a stream's forecasts is made after its clock, so that newer ones of another are passed.
FRONTIER = """
SELECT made_at FROM predicted_smile
WHERE symbol = %(symbol)s AND source = %(source)s AND made_at > %(since)s
  AND target_at <= %(clock)s + INTERVAL '1 day'
ORDER BY target_at DESC LIMIT 1"""

DUE = """
SELECT p.symbol, p.expiry, p.made_at, p.horizon_s, p.model_name, p.target_at, p.role, p.source,
       p.model_version, p.smile, p.lower, p.upper, o.ts
FROM predicted_smile p
LEFT JOIN LATERAL (
    SELECT f.ts FROM option_features f
    WHERE f.symbol = p.symbol AND f.expiry = p.expiry AND f.reason IS NULL
      AND f.source = p.source
      AND f.ts >= p.target_at AND f.ts <= p.target_at + %(tolerance)s
    ORDER BY f.ts LIMIT 1) o ON true
WHERE p.symbol = %(symbol)s AND p.source = %(source)s AND p.made_at > %(since)s
  AND p.target_at >= %(first)s AND p.target_at <= %(last)s
  AND (o.ts IS NOT NULL OR p.target_at < %(settled)s)
  AND NOT EXISTS (
    SELECT FROM prediction_scores s
    WHERE s.symbol = %(symbol)s AND s.made_at > %(since)s
      AND s.target_at >= %(first)s AND s.target_at <= %(last)s
      AND s.expiry = p.expiry AND s.made_at = p.made_at AND s.horizon_s = p.horizon_s
      AND s.model_name = p.model_name)
ORDER BY p.target_at LIMIT %(limit)s"""

OBSERVED = """
SELECT f.expiry, f.ts, f.tau, f.forward, f.atm_vol,
       f.quote_strike, f.quote_bid_iv, f.quote_mid_iv, f.quote_ask_iv
FROM unnest(%(expiries)s::date[], %(times)s::timestamptz[]) AS m (expiry, at)
JOIN option_features f ON f.symbol = %(symbol)s AND f.expiry = m.expiry AND f.ts = m.at
WHERE f.ts >= %(first)s AND f.ts <= %(last)s"""

# Of each instant's own source; a live feed's delayed rows are part of its past.
PASTS = """
SELECT m.expiry, m.at, lag.place, f.tau, f.forward, f.grid_vol
FROM unnest(%(expiries)s::date[], %(times)s::timestamptz[]) AS m (expiry, at)
JOIN option_features o ON o.symbol = %(symbol)s AND o.expiry = m.expiry AND o.ts = m.at
  AND o.ts >= %(first)s AND o.ts <= %(last)s
CROSS JOIN generate_series(0, %(window)s - 1) AS lag (place)
CROSS JOIN LATERAL (
    SELECT f.tau, f.forward, f.grid_vol FROM option_features f
    WHERE f.symbol = %(symbol)s AND f.expiry = m.expiry AND f.source IN (o.source, 'delayed')
      AND f.ts <= m.at - lag.place * %(step)s
      AND f.ts > m.at - (lag.place + 0.5) * %(step)s
      AND f.ts > %(first)s - %(window)s * %(step)s AND f.ts <= %(last)s
    ORDER BY f.ts DESC LIMIT 1) f"""

# As the rolling metrics take them: of an expiry one per horizon.
RECENT = """
SELECT DISTINCT ON (role, model_name, model_version, horizon_s, expiry,
                    floor(extract(epoch FROM made_at) / horizon_s))
       role, model_name, horizon_s, model_version, expiry, made_at, error_bp, {baselines}, coverage
FROM prediction_scores
WHERE symbol = %(symbol)s AND source = %(source)s AND made_at > %(since)s
  AND target_at <= %(clock)s AND quotes > 0 AND model_version IS NOT NULL
ORDER BY role, model_name, model_version, horizon_s, expiry,
         floor(extract(epoch FROM made_at) / horizon_s), made_at"""
