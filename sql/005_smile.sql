-- What a smile says of itself besides its grid. Rows from before have NULL here, as do rows
-- without a smile where the value is not known.
ALTER TABLE option_features
    ADD COLUMN forward_source     text,
    ADD COLUMN rate               double precision,
    ADD COLUMN bumps              double precision[],
    ADD COLUMN calendar_ok        boolean,
    ADD COLUMN lee_ok             boolean,
    ADD COLUMN repaired           text[],
    ADD COLUMN moved              double precision,
    ADD COLUMN confidence         double precision,
    ADD COLUMN skew               double precision,
    ADD COLUMN risk_reversal_25   double precision,
    ADD COLUMN butterfly_25       double precision,
    ADD COLUMN variance_swap_vol  double precision;

COMMENT ON TABLE option_features IS
    'One expiry''s smile at one instant: forward, fit, the grid, the observed quotes, and what a '
    'desk reads off it. Volatilities are decimals.';
COMMENT ON COLUMN option_features.forward_source IS
    'Where the forward is from: parity (of this expiry), term structure (of the others) or blend.';
COMMENT ON COLUMN option_features.rate IS 'Interest rate per year in discount = exp(-rate * tau).';
COMMENT ON COLUMN option_features.bumps IS
    'Coefficients of the smooth factor on the SVI curve: w(k) = w_SVI(k) (1 + sum of bumps * B).';
COMMENT ON COLUMN option_features.butterfly_ok IS
    'No butterfly arbitrage on the grid''s range (Durrleman''s g >= 0), after repair.';
COMMENT ON COLUMN option_features.calendar_ok IS
    'No crossing with the neighbouring expiries, after repair.';
COMMENT ON COLUMN option_features.lee_ok IS 'Both wings within Lee''s bound.';
COMMENT ON COLUMN option_features.repaired IS
    'Arbitrage that the fit had before it was repaired: butterfly, calendar, lee.';
COMMENT ON COLUMN option_features.moved IS
    'By how much the repair moved the grid, root mean square, in volatility.';
COMMENT ON COLUMN option_features.confidence IS 'Trust in the fit, 0 to 1.';
COMMENT ON COLUMN option_features.skew IS
    'Slope of volatility by log-moneyness, at the money.';
COMMENT ON COLUMN option_features.risk_reversal_25 IS
    'Volatility of the 25-delta call minus that of the 25-delta put.';
COMMENT ON COLUMN option_features.butterfly_25 IS
    'Mean of the 25-delta volatilities minus the at-the-money volatility.';
COMMENT ON COLUMN option_features.variance_swap_vol IS
    'Square root of the fair variance swap rate.';

CREATE OR REPLACE VIEW smile_points AS
SELECT f.symbol, f.expiry, f.ts, f.source,
       -2.5 + 0.25 * (p.place - 1)                                       AS z,
       (-2.5 + 0.25 * (p.place - 1)) * f.grid_vol[11] * sqrt(f.tau)      AS log_moneyness,
       p.vol, p.observed, f.confidence
FROM option_features f,
     LATERAL unnest(f.grid_vol, f.grid_observed) WITH ORDINALITY AS p (vol, observed, place)
WHERE f.reason IS NULL;

-- A row per smile with what a desk reads off it; a repair's names as one text.
CREATE VIEW smile_summary AS
SELECT f.symbol, f.expiry, f.ts, f.source, f.tau * 365 AS days, f.underlying, f.forward,
       f.forward_error, f.forward_source, f.rate, f.borrow, f.atm_vol, f.skew,
       f.risk_reversal_25, f.butterfly_25, f.variance_swap_vol, f.confidence,
       f.fit_error * 10000 AS fit_error_bp, f.quotes_used, f.quotes_total,
       f.butterfly_ok, f.calendar_ok, f.lee_ok,
       array_to_string(f.repaired, ', ') AS repaired, f.moved * 10000 AS moved_bp
FROM option_features f
WHERE f.reason IS NULL;
