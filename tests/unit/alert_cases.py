"""What each alert must fire on, and what it must leave alone, as series for promtool."""

from typing import NamedTuple

QUOTES = 'smile_ingest_samples_total{namespace="NAMESPACE", symbol="SPY"}'
OPEN = ('smile_ingest_market_open{namespace="NAMESPACE", symbol="SPY"}', "1x200")
CLOSED = (OPEN[0], "0x200")
FEED = 'smile_ingest_feed_up{namespace="NAMESPACE", symbol="SPY"}'
AGE = 'smile_ingest_quote_age_seconds{namespace="NAMESPACE", symbol="SPY"}'
MADE = 'smile_predictor_forecasts_total{namespace="NAMESPACE", role="champion"}'
STOOD_IN = 'smile_predictor_fallbacks_total{namespace="NAMESPACE", reason="late"}'
LATENCY = 'smile_pipeline_sampled_to_forecast_seconds_bucket{namespace="NAMESPACE", le="%s"}'
ROUND_TRIP = 'smile_predictor_model_server_seconds_bucket{namespace="NAMESPACE", le="%s"}'
HOP = 'smile_stage_hop_seconds_%s{namespace="NAMESPACE", stage="writer"%s}'
LAG = 'kafka_consumergroup_lag{namespace="NAMESPACE", consumergroup="writer", topic="option-chain"}'
RETRIES = 'smile_stage_retries_total{namespace="NAMESPACE", stage="writer"}'
DEAD = 'smile_stage_dead_letters_total{namespace="NAMESPACE", stage="writer", topic="option-chain"}'
BEAT = 'smile_stage_heartbeat_age_seconds{namespace="NAMESPACE", pod="smile-writer-1"}'
SMILES = 'smile_features_smiles_total{namespace="NAMESPACE", reason="%s"}'
VIOLATED = 'smile_features_arbitrage_violations_total{namespace="NAMESPACE", kind="butterfly"}'
SERVER = ('up{namespace="NAMESPACE", component="model-server", pod="server-1"}', "1x200")
VERSION = 'smile_model_server_version{namespace="NAMESPACE", model="smile", alias="%s"}'
REQUESTS = ('bentoml_service_request_total{namespace="NAMESPACE", endpoint="%s", '
            'http_response_code="%s"}')
RETRAINED = 'smile_monitor_retrainings_total{namespace="NAMESPACE", outcome="%s"}'
JOB = 'kube_job_status_%s{namespace="NAMESPACE", job_name="smile-spy-smile-trainer-29390"}'
STREAM = 'namespace="NAMESPACE", pod="%s", symbol="SPY", source="live", '
OF_CHAMPION = 'role="champion", model="gru", horizon_s="300"'
SKILL = f'smile_monitor_skill_ratio{{{STREAM}{OF_CHAMPION}}}'
COVERED = f'smile_monitor_coverage_ratio{{{STREAM}{OF_CHAMPION}}}'
DRIFT = ('smile_monitor_drift_%s{namespace="NAMESPACE", symbol="SPY", source="live", '
         'kind="feature", subject="atm_vol"}')
SCORED = 'smile_monitor_scored_total{namespace="NAMESPACE", outcome="scored"}'
UP = 'up{namespace="NAMESPACE", component="writer", pod="smile-writer-1"}'
RESTARTS = 'kube_pod_container_status_restarts_total{namespace="NAMESPACE", pod="writer-1"}'
VOLUME = 'kubelet_volume_stats_%s_bytes{namespace="NAMESPACE", persistentvolumeclaim="data"}'
CAPACITY = (VOLUME % "capacity", "100x200")


class Case(NamedTuple):
    """One series a minute from midnight of a Thursday, and whether the alert then fires."""

    alert: str
    why: str
    fires: bool
    at: str
    series: tuple[tuple[str, str], ...]


def fires(alert: str, why: str, at: str, *series: tuple[str, str]) -> Case:
    return Case(alert, why, True, at, series)


def silent(alert: str, why: str, at: str, *series: tuple[str, str]) -> Case:
    return Case(alert, why, False, at, series)


CASES = [
    fires("SmileNoFreshQuotes", "open and nothing comes", "20m", OPEN, (QUOTES, "7x200")),
    fires("SmileNoFreshQuotes", "ingest is gone in a session", "15h"),
    silent("SmileNoFreshQuotes", "ingest is gone at night", "5h"),
    silent("SmileNoFreshQuotes", "a holiday, as the gateway says", "16h",
           (CLOSED[0], "0x2000"), (QUOTES, "7x2000")),
    fires("SmileNoFreshQuotes", "disconnected over the bell, the clock decides", "15h",
          (OPEN[0], " ".join(["NaN"] * 901)), (QUOTES, "7x2000")),
    silent("SmileNoFreshQuotes", "open and quotes come", "20m", OPEN, (QUOTES, "0+30x200")),
    fires("SmileFeedDown", "open", "10m", OPEN, (FEED, "0x200")),
    silent("SmileFeedDown", "closed", "10m", CLOSED, (FEED, "0x200")),
    silent("SmileFeedDown", "up", "10m", OPEN, (FEED, "1x200")),
    fires("SmileQuotesOld", "minutes old", "20m", OPEN, (AGE, "300x200")),
    silent("SmileQuotesOld", "seconds old", "20m", OPEN, (AGE, "3x200")),
    silent("SmileQuotesOld", "old, but closed", "20m", CLOSED, (AGE, "9000x200")),

    fires("SmileForecastsSlow", "two in a hundred take two to five seconds", "30m",
          (LATENCY % "1.0", "0+98x200"), (LATENCY % "5.0", "0+100x200"),
          (LATENCY % "+Inf", "0+100x200")),
    silent("SmileForecastsSlow", "all take less than half a second", "30m",
           (LATENCY % "0.5", "0+100x200"), (LATENCY % "+Inf", "0+100x200")),
    fires("SmileNoForecasts", "quotes alone", "30m", (QUOTES, "0+30x200"), (MADE, "50x200")),
    silent("SmileNoForecasts", "both", "30m", (QUOTES, "0+30x200"), (MADE, "0+120x200")),
    silent("SmileNoForecasts", "neither", "30m", (QUOTES, "9x200"), (MADE, "50x200")),
    fires("SmileBacklog", "most are old", "20m",
          (HOP % ("bucket", ', le="10.0"'), "0+20x200"), (HOP % ("count", ""), "0+60x200")),
    silent("SmileBacklog", "most are fresh", "20m",
           (HOP % ("bucket", ', le="10.0"'), "0+58x200"), (HOP % ("count", ""), "0+60x200")),
    silent("SmileBacklog", "nothing comes", "20m",
           (HOP % ("bucket", ', le="10.0"'), "20x200"), (HOP % ("count", ""), "60x200")),
    fires("SmileConsumerLag", "thousands behind", "20m", (LAG, "0+200x200")),
    silent("SmileConsumerLag", "a few behind", "20m", (LAG, "12x200")),
    fires("SmileStageRetries", "again and again", "20m", (RETRIES, "0+2x200")),
    silent("SmileStageRetries", "one hiccup", "20m", (RETRIES, "0x10 1x200")),
    fires("SmileDeadLetters", "the first one, whose counter was not there before", "12m",
          (DEAD, "_x10 1x200")),
    fires("SmileDeadLetters", "one more", "40m", (DEAD, "3x30 4x200")),
    silent("SmileDeadLetters", "an old one", "60m", (DEAD, "_x10 1x200")),
    fires("SmileLoopStalled", "a minute of standing still, then a restart", "8m",
          (BEAT, "0x3 15 75 75 0x200")),
    silent("SmileLoopStalled", "the loop turns", "8m", (BEAT, "1x200")),
    fires("SmileFewSmiles", "two in three fail", "40m",
          (SMILES % "made", "0+10x200"), (SMILES % "too few quotes", "0+20x200")),
    silent("SmileFewSmiles", "one in three fails", "40m",
           (SMILES % "made", "0+20x200"), (SMILES % "too few quotes", "0+10x200")),
    fires("SmileArbitrage", "in half of them", "2h",
          (VIOLATED, "0+10x200"), (SMILES % "made", "0+20x200")),
    silent("SmileArbitrage", "in one of ten", "2h",
           (VIOLATED, "0+2x200"), (SMILES % "made", "0+20x200")),

    fires("SmileChampionMissing", "never was one", "45m", SERVER),
    fires("SmileChampionMissing", "only a challenger", "45m", SERVER,
          (VERSION % "champion", "0x200"), (VERSION % "challenger", "3x200")),
    silent("SmileChampionMissing", "there is one", "45m", SERVER, (VERSION % "champion", "2x200")),
    silent("SmileChampionMissing", "still being trained", "20m", SERVER),
    fires("SmileBaselineStandsIn", "for all", "40m", (STOOD_IN, "0+60x200"),
          (MADE.replace("champion", "baseline"), "0+60x200")),
    silent("SmileBaselineStandsIn", "for a few", "40m", (STOOD_IN, "0+2x200"), (MADE, "0+60x200")),
    fires("SmileModelServerSlow", "a quarter of a second", "30m",
          (ROUND_TRIP % "0.2", "0+90x200"), (ROUND_TRIP % "0.3", "0+100x200"),
          (ROUND_TRIP % "+Inf", "0+100x200")),
    silent("SmileModelServerSlow", "fifty milliseconds", "30m",
           (ROUND_TRIP % "0.05", "0+100x200"), (ROUND_TRIP % "+Inf", "0+100x200")),
    fires("SmileModelServerErrors", "one in ten", "30m",
          (REQUESTS % ("/binary/forecast", "200"), "0+90x200"),
          (REQUESTS % ("/binary/forecast", "500"), "0+10x200")),
    silent("SmileModelServerErrors", "none", "30m",
           (REQUESTS % ("/binary/forecast", "200"), "0+90x200")),
    silent("SmileModelServerErrors", "there is no champion yet, as all are told", "30m",
           (REQUESTS % ("/readyz", "503"), "0+12x200"),
           (REQUESTS % ("/contract", "503"), "0+9x200")),
    fires("SmileRetrainingFailed", "the first", "15m", (RETRAINED % "failed", "_x10 1x200")),
    fires("SmileRetrainingFailed", "another, nothing seen of its end", "2h",
          (RETRAINED % "lost", "1x100 2x200")),
    silent("SmileRetrainingFailed", "one that succeeded", "15m",
           (RETRAINED % "succeeded", "_x10 1x200")),
    fires("SmileTrainingFailed", "for good", "10m", (JOB % "failed", "1x200")),
    silent("SmileTrainingFailed", "the second try succeeded", "10m",
           (JOB % "failed", "1x200"), (JOB % "succeeded", "1x200")),

    fires("SmileSkillLost", "for hours, though the monitor began anew", "6h",
          (SKILL % "monitor-1", "-0.05x200"), (SKILL % "monitor-2", "_x200 -0.05x200")),
    silent("SmileSkillLost", "no better than its anchor", "6h",
           (SKILL % "monitor-1", "-0.001x400")),
    silent("SmileSkillLost", "for one bad hour", "6h",
           (SKILL % "monitor-1", "0.02x60 -0.05x60 0.02x300")),
    fires("SmileCoverageOff", "bands too narrow, whichever pod says so", "4h",
          (COVERED % "monitor-1", "0.7x150"), (COVERED % "monitor-2", "_x150 0.7x150")),
    silent("SmileCoverageOff", "as it should be", "4h", (COVERED % "monitor-1", "0.88x300")),
    fires("SmileDrift", "for hours", "4h", (DRIFT % "psi", "0.4x300"), (DRIFT % "found", "1x300")),
    silent("SmileDrift", "what chance reaches with so few samples", "4h",
           (DRIFT % "psi", "0.4x300"), (DRIFT % "found", "0x300")),
    silent("SmileDrift", "a small one", "4h",
           (DRIFT % "psi", "0.15x300"), (DRIFT % "found", "1x300")),
    fires("SmileNothingScored", "the monitor is gone", "3h", (MADE, "0+60x300")),
    silent("SmileNothingScored", "scores come", "3h", (MADE, "0+60x300"), (SCORED, "0+60x300")),

    fires("SmileTargetDown", "no answer", "10m", (UP, "0x200")),
    silent("SmileTargetDown", "an answer", "10m", (UP, "1x200")),
    fires("SmileRestarts", "every ten minutes", "70m", (RESTARTS, "0x9 1x9 2x9 3x9 4x9 5x9 6x200")),
    silent("SmileRestarts", "one", "70m", (RESTARTS, "0x30 1x200")),
    fires("SmileVolumeFilling", "a tenth is left", "20m", CAPACITY,
          (VOLUME % "available", "10x200")),
    silent("SmileVolumeFilling", "half is left", "20m", CAPACITY, (VOLUME % "available", "50x200")),
    fires("SmileVolumeFull", "two hundredths are left", "20m", CAPACITY,
          (VOLUME % "available", "2x200")),
    silent("SmileVolumeFull", "a tenth is left", "20m", CAPACITY, (VOLUME % "available", "10x200")),
]
