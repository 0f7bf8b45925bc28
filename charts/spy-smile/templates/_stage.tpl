{{/*
A component that runs for ever: its ServiceAccount and Deployment, and where it may have several
pods its disruption budget and autoscaler. Beside root, name and values a stage says:
  args, ports       of its container; without ports it serves metrics, /healthz and /readyz on 9100
  probes            (dict "path" "ready" "port"), in place of those
  strategy          Recreate, where two at once would be in each other's way
  grace             seconds to end in, before it is killed
  drain             seconds in which Services forget it, before it is told to end
  scaled            autoscaling of the values, as (dict "mode" none|hpa|keda …)
  env, foreign, from, secrets, database, kafka, mlflow, token, user, volumes, mounts, scratch
                    see _pods.tpl
*/}}
{{- define "spy-smile.stage" -}}
{{- include "spy-smile.serviceAccount" . }}
---
{{ include "spy-smile.deployment" . }}
{{- $mode := dig "mode" "none" (.scaled | default dict) }}
{{- if or (ne $mode "none") (gt (int (.values.replicas | default 1)) 1) }}
---
{{ include "spy-smile.disruptionBudget" . }}
{{- end }}
{{- if eq $mode "hpa" }}
---
{{ include "spy-smile.podAutoscaler" . }}
{{- else if eq $mode "keda" }}
---
{{ include "spy-smile.lagAutoscaler" . }}
{{- end }}
{{- end }}

{{- define "spy-smile.serviceAccount" -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  {{- include "spy-smile.metadata" . | nindent 2 }}
  {{- with .values.serviceAccountAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
automountServiceAccountToken: false
{{- end }}

{{- define "spy-smile.deployment" -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  {{- include "spy-smile.metadata" . | nindent 2 }}
spec:
  {{- if eq (dig "mode" "none" (.scaled | default dict)) "none" }}
  replicas: {{ hasKey .values "replicas" | ternary .values.replicas 1 | int }}
  {{- end }}
  strategy:
    {{- if eq (.strategy | default "RollingUpdate") "Recreate" }}
    type: Recreate
    {{- else }}
    type: RollingUpdate
    rollingUpdate: {maxSurge: 1, maxUnavailable: 0}
    {{- end }}
  selector:
    matchLabels:
      {{- include "spy-smile.selectorLabels" . | nindent 6 }}
  template:
    metadata:
      labels:
        {{- include "spy-smile.selectorLabels" . | nindent 8 }}
      {{- if not .foreign }}
      annotations:
        # Replaced when the settings change.
        checksum/settings: {{ include (print .root.Template.BasePath "/settings.yaml") .root | sha256sum }}
      {{- end }}
    spec:
      {{- include "spy-smile.pod" . | nindent 6 }}
      {{- if hasKey .values "replicas" }}
      topologySpreadConstraints:
        {{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
        - topologyKey: {{ . }}
          maxSkew: 1
          whenUnsatisfiable: ScheduleAnyway
          labelSelector:
            matchLabels:
              {{- include "spy-smile.selectorLabels" $ | nindent 14 }}
          matchLabelKeys: [pod-template-hash]
        {{- end }}
      {{- end }}
      terminationGracePeriodSeconds: {{ .grace | default 30 }}
      {{- $develops := include "spy-smile.develops" . }}
      {{- if $develops }}
      initContainers:
        {{- include "spy-smile.codeCopy" . | nindent 8 }}
      {{- end }}
      containers:
        - name: {{ .name }}
          {{- include "spy-smile.container" . | nindent 10 }}
          {{- if $develops }}
          {{- include "spy-smile.codeLoop" . | nindent 10 }}
          {{- end }}
          {{- with .args }}
          args:
            {{- toYaml . | nindent 12 }}
          {{- end }}
          ports:
            {{- range $name, $number := .ports | default (dict "metrics" 9100) }}
            - {name: {{ $name }}, containerPort: {{ int $number }}}
            {{- end }}
          {{- $probes := .probes | default (dict "path" "/healthz" "ready" "/readyz" "port" "metrics") }}
          {{- include "spy-smile.probes" $probes | nindent 10 }}
          {{- with .drain }}
          lifecycle:
            # Requests still arrive while the endpoint is being taken out of the Service.
            preStop:
              sleep: {seconds: {{ int . }}}
          {{- end }}
          {{- include "spy-smile.environment" . | nindent 10 }}
          volumeMounts:
            {{- include "spy-smile.mounts" . | nindent 12 }}
      volumes:
        {{- include "spy-smile.volumes" . | nindent 8 }}
{{- end }}

{{/* One at a time may be moved; with a single pod this allows what it must. */}}
{{- define "spy-smile.disruptionBudget" -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  {{- include "spy-smile.metadata" . | nindent 2 }}
spec:
  maxUnavailable: 1
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "spy-smile.selectorLabels" . | nindent 6 }}
{{- end }}

{{- define "spy-smile.service" -}}
apiVersion: v1
kind: Service
metadata:
  {{- include "spy-smile.metadata" . | nindent 2 }}
spec:
  {{- if .headless }}
  clusterIP: None
  {{- end }}
  selector:
    {{- include "spy-smile.selectorLabels" . | nindent 4 }}
  ports:
    {{- range $name, $number := .listens }}
    - name: {{ $name }}
      port: {{ int $number }}
      targetPort: {{ $name }}
    {{- end }}
{{- end }}
