-- One chunk a day on each table's time column.
SELECT create_hypertable('spy_option_chain', by_range('sampled_at', INTERVAL '1 day'),
                         create_default_indexes => false, migrate_data => true);
SELECT create_hypertable('option_features', by_range('ts', INTERVAL '1 day'),
                         create_default_indexes => false, migrate_data => true);
SELECT create_hypertable('predicted_smile', by_range('made_at', INTERVAL '1 day'),
                         create_default_indexes => false, migrate_data => true);
SELECT create_hypertable('prediction_scores', by_range('made_at', INTERVAL '1 day'),
                         create_default_indexes => false, migrate_data => true);
