{{/* Parts of pods. All take a stage. */}}

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

{{/* What is the same in every pod; "user" replaces the images' own user, "token" lets it call the API. */}}
{{- define "spy-smile.pod" -}}
serviceAccountName: {{ include "spy-smile.component" . }}
automountServiceAccountToken: {{ .token | default false }}
# Links would set variables such as SMILE_DASHBOARD_PORT where a release is called smile.
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: {{ int64 (.user | default 10001) }}
  runAsGroup: {{ int64 (.user | default 10001) }}
  fsGroup: {{ int64 (.user | default 10001) }}
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile:
    type: RuntimeDefault
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . | quote }}
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

{{/* Image, confinement and resources of a container. */}}
{{- define "spy-smile.container" -}}
image: {{ include "spy-smile.image" . | quote }}
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

{{/*
What a container is told: the settings that all of ours share, secrets, and its own variables. Of the
latter the values' `env` go before the chart's `env`, so that no name is there twice.
  foreign            not a program of ours: it has no use for the shared settings
  from               a Secret, all of whose keys are variables
  secrets            VARIABLE: [SECRET, KEY]
  database, kafka, mlflow   it is given the secrets of these
*/}}
{{- define "spy-smile.environment" -}}
{{- $own := merge (deepCopy (.values.env | default dict)) (.env | default dict) }}
{{- $secrets := deepCopy (.secrets | default dict) }}
{{- if .database }}
{{- $_ := set $secrets "SMILE_DATABASE_URL" (list (include "spy-smile.databaseSecret" .root) "url") }}
{{- end }}
{{- if and .mlflow .root.Values.mlflow.auth.enabled }}
{{- $login := include "spy-smile.mlflowLogin" .root }}
{{- $_ := set $secrets "MLFLOW_TRACKING_USERNAME" (list $login "username") }}
{{- $_ := set $secrets "MLFLOW_TRACKING_PASSWORD" (list $login "password") }}
{{- end }}
{{- if and .kafka (eq .root.Values.kafka.mode "strimzi") }}
{{- $_ := set $own "SMILE_KAFKA_OPTIONS" (include "spy-smile.kafkaOptions" .root) }}
{{- else if and .kafka .root.Values.kafka.existingSecret }}
{{- $_ := set $secrets "SMILE_KAFKA_OPTIONS" (list .root.Values.kafka.existingSecret "options") }}
{{- end }}
{{- if or .from (not .foreign) }}
envFrom:
  {{- if not .foreign }}
  - configMapRef:
      name: {{ include "spy-smile.fullname" .root }}-settings
  {{- end }}
  {{- with .from }}
  - secretRef:
      name: {{ . | quote }}
  {{- end }}
{{- end }}
{{- if or $own $secrets }}
env:
  {{- range $name, $place := $secrets }}
  - name: {{ $name }}
    valueFrom:
      secretKeyRef: {name: {{ index $place 0 | quote }}, key: {{ index $place 1 }}}
  {{- end }}
  {{- range $name, $value := $own }}
  - name: {{ $name }}
    value: {{ include "spy-smile.text" $value | quote }}
  {{- end }}
{{- end }}
{{- end }}

{{/* Volumes and their mounts: a /tmp, the files of TLS to Kafka, and the stage's own. */}}
{{- define "spy-smile.mounts" -}}
- {name: tmp, mountPath: /tmp}
{{- if and .kafka (include "spy-smile.kafkaFiles" .) }}
- {name: kafka, mountPath: /etc/kafka, readOnly: true}
{{- end }}
{{- if include "spy-smile.develops" . }}
- {name: code, mountPath: /app}
{{- end }}
{{- with .mounts }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "spy-smile.volumes" -}}
- name: tmp
  emptyDir: {sizeLimit: {{ .scratch | default "1Gi" }}}
{{- if and .kafka (include "spy-smile.kafkaFiles" .) }}
- name: kafka
  {{- include "spy-smile.kafkaFiles" . | nindent 2 }}
{{- end }}
{{- if include "spy-smile.develops" . }}
- name: code
  emptyDir: {}
{{- end }}
{{- with .volumes }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Probes by HTTP: takes (dict "path" … "ready" … "port" …). Liveness is that the loop turns,
     readiness that it can work. */}}
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
