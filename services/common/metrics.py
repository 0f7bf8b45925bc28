"""Every metric of the pipeline, in one place: `smile_<stage>_<what>_<unit>`."""

from prometheus_client import Counter, Gauge, Histogram

LATENCY_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.0, 5.0, 10.0,
                   30.0)

# --- every stage on Kafka
CONSUMED = Counter("smile_stage_messages_total", "Messages consumed.", ["stage", "topic"])
DEAD_LETTERS = Counter("smile_stage_dead_letters_total",
                       "Messages that could not be read and went to the dead-letter topic.",
                       ["stage", "topic"])
HOP_SECONDS = Histogram("smile_stage_hop_seconds",
                        "From a message's Kafka timestamp to its result being committed.",
                        ["stage"], buckets=LATENCY_BUCKETS)
STEP_SECONDS = Histogram("smile_stage_step_seconds", "Duration of one step over one batch.",
                         ["stage"], buckets=LATENCY_BUCKETS)
ROWS = Counter("smile_stage_rows_total", "Rows upserted.", ["stage", "table"])
RETRIES = Counter("smile_stage_retries_total",
                  "Steps tried again because something needed was unavailable.", ["stage"])
HEARTBEAT_AGE_SECONDS = Gauge("smile_stage_heartbeat_age_seconds",
                              "Since the last turn of the service's loop, when asked.")

# --- ingest
MARKET_OPEN = Gauge("smile_ingest_market_open",
                    "1 in the underlying's trading hours, 0 outside, NaN while not known.",
                    ["symbol"])
FEED_UP = Gauge("smile_ingest_feed_up", "1 while the feed is connected and its farms are fine.",
                ["symbol"])
QUOTE_AGE_SECONDS = Gauge("smile_ingest_quote_age_seconds",
                          "Median age of the sampled quotes.", ["symbol"])
SAMPLES = Counter("smile_ingest_samples_total", "Sampling instants published.", ["symbol"])
SAMPLE_SECONDS = Histogram("smile_ingest_sample_seconds",
                           "From the sampling instant to its last message being acknowledged.",
                           buckets=LATENCY_BUCKETS)
SUBSCRIPTIONS = Gauge("smile_ingest_subscriptions", "Market data lines in use.", ["symbol"])
GATEWAY_ERRORS = Counter("smile_ingest_gateway_errors_total", "Messages of the gateway by code.",
                         ["code"])

# --- features
QUOTES_REJECTED = Counter("smile_features_quotes_rejected_total",
                          "Quotes that the filter rejected.", ["reason"])
SMILES = Counter("smile_features_smiles_total", "Smiles made, or not, by reason.", ["reason"])
FIT_ERROR = Histogram("smile_features_fit_error_bp",
                      "Fitted minus mid implied volatility, root mean square, basis points.",
                      buckets=(1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0))
FORWARD_ERROR_BP = Histogram("smile_features_forward_error_bp",
                             "Standard error of the forward, basis points of the forward.",
                             buckets=(0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0))
CONFIDENCE = Histogram("smile_features_confidence_ratio", "Trust in the fit, 0 to 1.",
                       buckets=(0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0))
VIOLATIONS = Counter("smile_features_arbitrage_violations_total",
                     "Smiles with arbitrage before their repair, by its kind.", ["kind"])
REPAIR_BP = Histogram("smile_features_repair_bp",
                      "By how much a repair moved the grid, root mean square, basis points.",
                      buckets=(0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0))
INCOMPLETE_INSTANTS = Counter(
    "smile_features_incomplete_instants_total",
    "Instants whose surface was built without all of their expiries.")

# --- predictor
FORECASTS = Counter("smile_predictor_forecasts_total", "Forecasts made.", ["role"])
FALLBACKS = Counter("smile_predictor_fallbacks_total",
                    "Forecasts where the baseline stood in, by reason.", ["reason"])
SHADOWS_REFUSED = Counter("smile_predictor_shadows_refused_total",
                          "Answers of a shadow that could not be believed.")
BAND_SCALE = Gauge("smile_predictor_band_scale_ratio",
                   "Factor on the calibrated half-widths of the bands issued now.",
                   ["symbol", "source", "horizon_s"])
MODEL_SERVER_SECONDS = Histogram("smile_predictor_model_server_seconds",
                                 "Round trip to the model server.", buckets=LATENCY_BUCKETS)
REPAIRED = Counter("smile_predictor_repaired_total",
                   "Forecasts that broke an arbitrage bound and were moved.")
PIPELINE_SECONDS = Histogram("smile_pipeline_sampled_to_forecast_seconds",
                             "From `sampled_at` to the committed forecast, live sources only.",
                             buckets=LATENCY_BUCKETS)

# --- model server
MODEL_VERSION = Gauge("smile_model_server_version", "Version of the model being served.",
                      ["model", "alias"], multiprocess_mode="mostrecent")
MODEL_RELOADS = Counter("smile_model_server_loads_total", "Models loaded since the start.")
SHADOW_FAILURES = Counter("smile_model_server_shadow_failures_total",
                          "Requests that the shadow could not answer; the champion did.")

# --- monitor
SCORED = Counter("smile_monitor_scored_total", "Forecasts scored.", ["outcome"])
FORECAST_LABELS = ("symbol", "source", "role", "model", "horizon_s")
ERROR_BP = Gauge("smile_monitor_error_bp",
                 "Rolling root mean square error of forecasts, basis points.", FORECAST_LABELS)
SKILL = Gauge("smile_monitor_skill_ratio",
              "1 − MSE(model) / MSE(filtered persistence), rolling.", FORECAST_LABELS)
SKILL_BEST = Gauge("smile_monitor_skill_against_best_ratio",
                   "1 − MSE(model) / MSE of the best of all baselines, rolling.",
                   FORECAST_LABELS)
COVERAGE = Gauge("smile_monitor_coverage_ratio", "Observed quotes inside the band, rolling.",
                 FORECAST_LABELS)
DRIFT_LABELS = ("symbol", "source", "kind", "subject")
DRIFT_PSI = Gauge("smile_monitor_drift_psi",
                  "Population stability index of a feature against the training fold, or of the "
                  "champion's errors at a horizon against those of its first day.", DRIFT_LABELS)
DRIFT_KS = Gauge("smile_monitor_drift_ks",
                 "Kolmogorov-Smirnov distance of the same.", DRIFT_LABELS)
DRIFT_FOUND = Gauge("smile_monitor_drift_found",
                    "1 where the last check found drift or lost skill.", DRIFT_LABELS)
RETRAININGS = Counter("smile_monitor_retrainings_total",
                      "Retrainings asked for and ended, by what became of them.", ["outcome"])

# --- simulator
SIMULATOR_CLIENTS = Gauge("smile_simulator_clients", "Connected TWS clients.")
SIMULATOR_LINES = Gauge("smile_simulator_lines", "Market data lines subscribed by all clients.")
SIMULATOR_MESSAGES = Counter("smile_simulator_messages_total", "Frames sent to clients.")
