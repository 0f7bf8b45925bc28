-- Chunks a week old are compressed. Later than any replay of the current week, since an upsert
-- into a compressed chunk is slow.
ALTER TABLE spy_option_chain SET (timescaledb.enable_columnstore,
    timescaledb.segmentby = 'symbol, expiry', timescaledb.orderby = 'sampled_at DESC, strike, "right"');
ALTER TABLE option_features SET (timescaledb.enable_columnstore,
    timescaledb.segmentby = 'symbol, expiry', timescaledb.orderby = 'ts DESC');
ALTER TABLE predicted_smile SET (timescaledb.enable_columnstore,
    timescaledb.segmentby = 'symbol, expiry, horizon_s, model_name',
    timescaledb.orderby = 'made_at DESC');
CALL add_columnstore_policy('spy_option_chain', after => INTERVAL '7 days');
CALL add_columnstore_policy('option_features', after => INTERVAL '7 days');
CALL add_columnstore_policy('predicted_smile', after => INTERVAL '7 days');
