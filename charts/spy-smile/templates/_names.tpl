{{/* Names and labels. "stage" below is (dict "root" $ "name" COMPONENT "values" ITS-VALUES …). */}}

{{- define "spy-smile.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" }}
{{- end }}

{{/* The prefix of all names; short enough that a component's name fits behind it. */}}
{{- define "spy-smile.fullname" -}}
{{- $name := printf "%s-%s" .Release.Name (include "spy-smile.name" .) }}
{{- if .Values.fullnameOverride }}
{{- $name = .Values.fullnameOverride }}
{{- else if contains (include "spy-smile.name" .) .Release.Name }}
{{- $name = .Release.Name }}
{{- end }}
{{- /* A Service's begins with a letter and has no dots; what differs from another's must go on doing so. */}}
{{- $fit := regexReplaceAll "^([0-9])" (replace "." "-" $name) "r${1}" }}
{{- if or (ne $fit $name) (gt (len $fit) 40) }}
{{- $fit = printf "%s-%s" ($fit | trunc 31 | trimSuffix "-") ($name | sha256sum | trunc 8) }}
{{- end }}
{{- $fit }}
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
app.kubernetes.io/name: {{ include "spy-smile.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
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
