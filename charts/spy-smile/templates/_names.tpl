{{/* Names and labels. "stage" below is (dict "root" $ "name" COMPONENT "values" ITS-VALUES …). */}}

{{- define "spy-smile.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" }}
{{- end }}

{{/* The prefix of all names; short enough that a component's name fits behind it. */}}
{{- define "spy-smile.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else if contains (include "spy-smile.name" .) .Release.Name }}
{{- .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "spy-smile.name" .) | trunc 40 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{/* Name of a component's objects; takes a stage. */}}
{{- define "spy-smile.component" -}}
{{ include "spy-smile.fullname" .root }}-{{ .name }}
{{- end }}

{{/* Labels of every object; takes a stage. */}}
{{- define "spy-smile.labels" -}}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/part-of: {{ .root.Chart.Name }}
{{ include "spy-smile.selectorLabels" . }}
{{- end }}

{{/* Labels that find a component's pods: these never change. */}}
{{- define "spy-smile.selectorLabels" -}}
{{ include "spy-smile.releaseLabels" .root }}
app.kubernetes.io/component: {{ .name }}
{{- end }}

{{/* Labels that find all of this release's pods, but not those of Strimzi's. */}}
{{- define "spy-smile.releaseLabels" -}}
app.kubernetes.io/name: {{ include "spy-smile.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* Name and labels of a component's object, for its metadata. */}}
{{- define "spy-smile.metadata" -}}
name: {{ include "spy-smile.component" . }}
labels:
  {{- include "spy-smile.labels" . | nindent 2 }}
{{- end }}

{{/* A value as a variable's text: helm reads large numbers as 1e+06. */}}
{{- define "spy-smile.text" -}}
{{- if kindIs "float64" . }}{{ ternary (printf "%.0f" .) (toString .) (eq . (floor .)) }}{{ else }}{{ . }}{{ end }}
{{- end }}
