{{/*
Who talks to whom, as in docs/architecture.md: a component and what it calls. All NetworkPolicies
are made of this, both ends of each arrow.
*/}}
{{- define "spy-smile.arrows" -}}
ingest: [kafka, feed]
simulator: []
gateway: [brokerage]
writer: [kafka, database]
features: [kafka, database]
predictor: [kafka, database, model-server]
monitor: [database, model-server{{ if .Values.monitor.retrain.enabled }}, api-server{{ end }}]
model-server: [mlflow]
trainer: [database, mlflow]
first-model: [mlflow]
dashboard: [database]
migrations: [database]
mlflow: [{{ if eq .Values.mlflow.artifacts.mode "s3" }}artifacts{{ end }}]
database: []
test: [database, mlflow, model-server, dashboard]
{{- end }}

{{/* Who calls a component, as a YAML list. Takes (dict "root" $ "name" COMPONENT). */}}
{{- define "spy-smile.callers" -}}
{{- $target := .name }}
{{- if has .name (list "gateway" "simulator") }}
{{- $target = ternary "feed" "nothing" (eq (include "spy-smile.feed" .root) .name) }}
{{- end }}
{{- $callers := list }}
{{- range $caller, $called := include "spy-smile.arrows" .root | fromYaml }}
{{- if has $target $called }}{{ $callers = append $callers $caller }}{{ end }}
{{- end }}
{{- toYaml $callers }}
{{- end }}

{{/* A selector of all who call a component. */}}
{{- define "spy-smile.callersSelector" -}}
matchLabels:
  {{- include "spy-smile.releaseLabels" .root | nindent 2 }}
matchExpressions:
  - key: app.kubernetes.io/component
    operator: In
    values: [{{ include "spy-smile.callers" . | fromYamlArray | join ", " }}]
{{- end }}

{{/* The egress rules for all that is called, and for asking where it is. Takes (dict "root" $ "calls" LIST). */}}
{{- define "spy-smile.egressRules" -}}
{{- $root := .root }}
{{- with .calls }}
- ports:
    - {protocol: UDP, port: 53}
    - {protocol: TCP, port: 53}
  to:
    {{- toYaml $root.Values.networkPolicy.dns | nindent 4 }}
{{- end }}
{{- range .calls }}
{{- include "spy-smile.egress" (dict "root" $root "name" .) }}
{{- end }}
{{- end }}

{{/* The egress rule for an arrow. Takes (dict "root" $ "name" WHAT-IS-CALLED). */}}
{{- define "spy-smile.egress" -}}
{{- $values := .root.Values }}
{{- $feed := include "spy-smile.feed" .root }}
{{- $ports := dict "database" 5432 "mlflow" 5000 "model-server" 3000 "dashboard" 8501 }}
{{- $outside := $values.networkPolicy.outside }}
{{- if and (eq .name "kafka") (eq $values.kafka.mode "strimzi") }}
- to:
    - podSelector:
        matchLabels:
          strimzi.io/name: {{ include "spy-smile.fullname" .root }}-kafka
  ports:
    - {protocol: TCP, port: 9093}
{{- else if eq .name "kafka" }}
{{- $found := list }}
{{- range splitList "," $values.kafka.bootstrapServers }}{{ $found = append $found (splitList ":" . | last | int) }}{{ end }}
{{- include "spy-smile.outside" (dict "to" $outside.kafka.to "ports" ($outside.kafka.ports | default $found)) }}
{{- else if and (eq .name "feed") (eq $feed "external") }}
{{- include "spy-smile.outside" (dict "to" $outside.gateway.to "ports" (list $values.ingest.gateway.port)) }}
{{- else if eq .name "feed" }}
{{- include "spy-smile.inside" (dict "root" .root "name" $feed "port" (ternary 4002 $values.gateway.port (eq $feed "simulator"))) }}
{{- else if and (eq .name "database") (eq $values.database.mode "external") }}
{{- include "spy-smile.outside" $outside.database }}
{{- else if and (eq .name "mlflow") (eq $values.mlflow.mode "external") }}
{{- $port := include "spy-smile.urlPort" $values.mlflow.trackingUri }}
{{- include "spy-smile.outside" (dict "to" $outside.mlflow.to "ports" ($outside.mlflow.ports | default (list $port))) }}
{{- else if eq .name "api-server" }}
{{- include "spy-smile.outside" $outside.apiServer }}
{{- else if eq .name "artifacts" }}
{{- $port := include "spy-smile.urlPort" ($values.mlflow.artifacts.endpoint | default "https://") }}
{{- include "spy-smile.outside" (dict "to" $outside.artifacts.to "ports" ($outside.artifacts.ports | default (list $port))) }}
{{- else if eq .name "brokerage" }}
{{- include "spy-smile.outside" $outside.brokerage }}
{{- else if eq (include "spy-smile.runs" .) "true" }}
{{- include "spy-smile.inside" (dict "root" .root "name" .name "port" (get $ports .name)) }}
{{- end }}
{{- end }}

{{/* The port of a URL, named or not. */}}
{{- define "spy-smile.urlPort" -}}
{{- regexFind ":[0-9]+(/|$)" (regexReplaceAll "^https?://" . "") | trimAll ":/" | default (hasPrefix "https" . | ternary "443" "80") }}
{{- end }}

{{- define "spy-smile.inside" }}
- to:
    - podSelector:
        matchLabels:
          {{- include "spy-smile.selectorLabels" . | nindent 10 }}
  ports:
    - {protocol: TCP, port: {{ .port }}}
{{- end }}

{{/* Without `to` anywhere: an address range would not mean pods to every network plugin. */}}
{{- define "spy-smile.outside" }}
- ports:
    {{- range .ports }}
    - {protocol: TCP, port: {{ . }}}
    {{- end }}
  {{- with .to }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
