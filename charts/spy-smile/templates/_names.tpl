{{/* Names and labels. */}}

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

{{/* Labels of every object; takes (dict "root" $ "name" COMPONENT). */}}
{{- define "spy-smile.labels" -}}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/part-of: {{ .root.Chart.Name }}
{{ include "spy-smile.selectorLabels" . }}
{{- end }}

{{/* Labels that find a component's pods: these never change. */}}
{{- define "spy-smile.selectorLabels" -}}
app.kubernetes.io/name: {{ include "spy-smile.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .name }}
{{- end }}

{{/* Name and labels of a component's object, for its metadata. */}}
{{- define "spy-smile.metadata" -}}
name: {{ include "spy-smile.fullname" .root }}-{{ .name }}
labels:
  {{- include "spy-smile.labels" . | nindent 2 }}
{{- end }}

{{/* Where things are. */}}

{{- define "spy-smile.kafkaBootstrap" -}}
{{- if eq .Values.kafka.mode "external" }}
{{- .Values.kafka.bootstrapServers }}
{{- else }}
{{- include "spy-smile.fullname" . }}-kafka-bootstrap:9092
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

{{/* Host headers that MLflow answers to: its Service under every name, and this pod itself. */}}
{{- define "spy-smile.mlflowHosts" -}}
{{- $service := printf "%s-mlflow" (include "spy-smile.fullname" .) }}
{{- $local := printf "%s.%s" $service .Release.Namespace }}
{{- $hosts := list }}
{{- range list $service $local (printf "%s.svc" $local) (printf "%s.svc.cluster.local" $local) "localhost" "127.0.0.1" }}
{{- $hosts = concat $hosts (list . (printf "%s:*" .)) }}
{{- end }}
{{- concat $hosts .Values.mlflow.allowedHosts | join "," }}
{{- end }}

{{- define "spy-smile.gatewayHost" -}}
{{- if .Values.ingest.gateway.host }}
{{- .Values.ingest.gateway.host }}
{{- else if .Values.simulator.enabled }}
{{- include "spy-smile.fullname" . }}-simulator
{{- else }}
{{- fail "ingest.gateway.host: name the gateway, or enable the simulator" }}
{{- end }}
{{- end }}

{{/* Pods. These take (dict "root" $ "name" COMPONENT "values" ITS-VALUES). */}}

{{- define "spy-smile.image" -}}
{{- $name := printf "spy-smile-%s:%s" .name (default .root.Chart.AppVersion .root.Values.image.tag) }}
{{- if .values.image }}
{{- .values.image }}
{{- else if .root.Values.image.registry }}
{{- printf "%s/%s" (trimSuffix "/" .root.Values.image.registry) $name }}
{{- else }}
{{- $name }}
{{- end }}
{{- end }}

{{/* Labels and annotations of a pod: it is replaced when the settings change. */}}
{{- define "spy-smile.podMetadata" -}}
labels:
  {{- include "spy-smile.selectorLabels" . | nindent 2 }}
annotations:
  checksum/settings: {{ include (print .root.Template.BasePath "/settings.yaml") .root | sha256sum }}
{{- end }}

{{/* What is the same in every pod; "user" replaces the images' own user, "token" lets it call the API. */}}
{{- define "spy-smile.pod" -}}
automountServiceAccountToken: {{ .token | default false }}
# Links would set variables such as SMILE_DASHBOARD_PORT where a release is called smile.
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: {{ .user | default 10001 }}
  runAsGroup: {{ .user | default 10001 }}
  fsGroup: {{ .user | default 10001 }}
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile:
    type: RuntimeDefault
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with .root.Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "spy-smile.container" -}}
image: {{ include "spy-smile.image" . }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
{{ include "spy-smile.confined" . }}
resources:
  {{- toYaml .values.resources | nindent 2 }}
{{- end }}

{{- define "spy-smile.confined" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
{{- end }}

{{/* Variables that are secret, and those the values add; the rest is in the ConfigMap. */}}
{{- define "spy-smile.environment" -}}
{{- if .database }}
- name: SMILE_DATABASE_URL
  valueFrom:
    secretKeyRef:
      name: {{ include "spy-smile.databaseSecret" .root }}
      key: url
{{- end }}
{{- if and .kafka .root.Values.kafka.existingSecret }}
- name: SMILE_KAFKA_OPTIONS
  valueFrom:
    secretKeyRef:
      name: {{ .root.Values.kafka.existingSecret }}
      key: options
{{- end }}
{{- range $name, $value := .values.env }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- end }}

{{/* The port with /metrics and /healthz, and the probes on it: liveness is that the loop turns. */}}
{{- define "spy-smile.health" -}}
ports:
  - name: metrics
    containerPort: 9100
{{- include "spy-smile.probes" (dict "path" "/healthz" "port" "metrics") | nindent 0 }}
{{- end }}

{{- define "spy-smile.probes" -}}
startupProbe:
  httpGet: {path: {{ .path }}, port: {{ .port }}}
  periodSeconds: 2
  failureThreshold: 60
  timeoutSeconds: 3
livenessProbe:
  httpGet: {path: {{ .path }}, port: {{ .port }}}
  periodSeconds: 10
  failureThreshold: 3
  timeoutSeconds: 5
readinessProbe:
  httpGet: {path: {{ .ready | default .path }}, port: {{ .port }}}
  periodSeconds: 5
  timeoutSeconds: 5
{{- end }}
