{{/* Where things are. */}}

{{- define "spy-smile.kafkaBootstrap" -}}
{{- if eq .Values.kafka.mode "external" }}
{{- .Values.kafka.bootstrapServers }}
{{- else }}
{{- /* With its namespace, for KEDA asks from another. */}}
{{- include "spy-smile.fullname" . }}-kafka-bootstrap.{{ .Release.Namespace }}.svc:9093
{{- end }}
{{- end }}

{{- define "spy-smile.databaseSecret" -}}
{{- default (printf "%s-database" (include "spy-smile.fullname" .)) .Values.database.existingSecret }}
{{- end }}

{{- define "spy-smile.mlflowUri" -}}
{{- if eq .Values.mlflow.mode "external" }}
{{- .Values.mlflow.trackingUri }}
{{- else }}
{{- printf "http://%s-mlflow:5000" (include "spy-smile.fullname" .) }}
{{- end }}
{{- end }}

{{/* Where quotes come from: external, gateway or simulator. */}}
{{- define "spy-smile.feed" -}}
{{- if .Values.ingest.gateway.host }}external
{{- else if .Values.gateway.enabled }}gateway
{{- else if .Values.simulator.enabled }}simulator
{{- else if .Values.ingest.enabled }}
{{- fail "ingest.gateway.host: name the gateway, or set gateway.enabled or simulator.enabled" }}
{{- end }}
{{- end }}

{{- define "spy-smile.gatewayHost" -}}
{{- $feed := include "spy-smile.feed" . }}
{{- if eq $feed "external" }}
{{- .Values.ingest.gateway.host }}
{{- else }}
{{- printf "%s-%s" (include "spy-smile.fullname" .) $feed }}
{{- end }}
{{- end }}

{{/* The port that ingest connects to, and the Services of gateway and simulator listen on. */}}
{{- define "spy-smile.gatewayPort" -}}
{{- .Values.ingest.gateway.port }}
{{- end }}

{{/* The path of the pages, without slashes around it: it is one for Ingress and HTTPRoute. */}}
{{- define "spy-smile.basePath" -}}
{{- $ingress := .Values.dashboard.ingress }}
{{- $route := .Values.dashboard.httpRoute }}
{{- if and $ingress.enabled $route.enabled (ne (trimAll "/" $ingress.path) (trimAll "/" $route.path)) }}
{{- fail "dashboard.httpRoute.path: the pages have one path; dashboard.ingress.path is another" }}
{{- end }}
{{- if $ingress.enabled }}{{ trimAll "/" $ingress.path }}{{ else if $route.enabled }}{{ trimAll "/" $route.path }}{{ end }}
{{- end }}
