-- Chunks compressed from now on are found by source too: the newest smile of each source is asked
-- for at every pass of the monitor, which must not unpack old chunks to learn of a source's absence.
ALTER TABLE option_features SET (timescaledb.enable_columnstore,
    timescaledb.segmentby = 'symbol, source, expiry', timescaledb.orderby = 'ts DESC');
