{{/* What was trained is not lost because MLflow is away for a moment: it is asked again for about four minutes. */}}
{{- define "spy-smile.trainerPatience" -}}
MLFLOW_HTTP_REQUEST_MAX_RETRIES: "7"
{{- end }}
