-- How wide a forecast's band was made by what had been observed, and the further baselines' errors.
-- Rows from before have NULL here.
ALTER TABLE predicted_smile ADD COLUMN band_scale double precision;
COMMENT ON COLUMN predicted_smile.band_scale IS
    'Factor on the calibrated band''s half-widths, by the misses observed until then.';

ALTER TABLE prediction_scores
    ADD COLUMN ewma_bp    double precision,
    ADD COLUMN ar_bp      double precision,
    ADD COLUMN har_bp     double precision,
    ADD COLUMN kalman_bp  double precision;
COMMENT ON TABLE prediction_scores IS
    'Root mean square errors on the quotes observed at the target time, in basis points of '
    'volatility, beside each baseline''s; NULL where the baseline is not known. No quotes '
    'observed: quotes = 0 and NULL errors.';
