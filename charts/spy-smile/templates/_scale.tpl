{{/*
Autoscalers. A consumer's takes a stage with
  scaled   (dict "mode" none|hpa|keda "min" … "max" … "cpu" … "lag" …)
  topic    what it consumes
*/}}

{{/* `scaled` of a consumer, as YAML: no more pods than there are partitions, for the rest would idle. */}}
{{- define "spy-smile.consumerScale" -}}
{{- $partitions := int .root.Values.kafka.topics.partitions }}
{{- $given := .values.autoscaling }}
{{- $most := int $given.maxReplicas | default $partitions }}
{{- if gt (int .values.replicas) $partitions }}
{{- include "spy-smile.tooMany" (dict "key" (printf "%s.replicas" .name) "pods" .values.replicas "partitions" $partitions) }}
{{- end }}
{{- if gt $most $partitions }}
{{- include "spy-smile.tooMany" (dict "key" (printf "%s.autoscaling.maxReplicas" .name) "pods" $most "partitions" $partitions) }}
{{- end }}
{{- if and (ne $given.mode "none") (gt (int $given.minReplicas) $most) }}
{{- fail (printf "%s.autoscaling.minReplicas: %d is more than the most, %d" .name (int $given.minReplicas) $most) }}
{{- end }}
mode: {{ $given.mode }}
min: {{ int $given.minReplicas }}
max: {{ $most }}
cpu: {{ int $given.targetCPUUtilizationPercentage }}
lag: {{ int64 $given.lagThreshold }}
{{- end }}

{{- define "spy-smile.tooMany" -}}
{{- fail (printf "%s: %d pods are more than kafka.topics.partitions, %d; the rest would have nothing to do" .key (int .pods) .partitions) }}
{{- end }}

{{/* The consumer group that a stage is in. */}}
{{- define "spy-smile.group" -}}
{{- include "spy-smile.text" (get (.values.env | default dict) "SMILE_KAFKA_GROUP" | default .name) }}
{{- end }}

{{- define "spy-smile.podAutoscaler" -}}
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  {{- include "spy-smile.metadata" . | nindent 2 }}
spec:
  scaleTargetRef:
    apiVersion: apps/v1
    kind: Deployment
    name: {{ include "spy-smile.component" . }}
  minReplicas: {{ int .scaled.min }}
  maxReplicas: {{ int .scaled.max }}
  metrics:
    - type: Resource
      resource:
        name: cpu
        target:
          type: Utilization
          averageUtilization: {{ int .scaled.cpu }}
  behavior:
    scaleDown:
      stabilizationWindowSeconds: {{ int (.scaled.calm | default 300) }}
{{- end }}

{{- define "spy-smile.lagAutoscaler" -}}
{{- $authentication := include "spy-smile.kedaAuthentication" .root }}
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata:
  {{- include "spy-smile.metadata" . | nindent 2 }}
spec:
  scaleTargetRef:
    name: {{ include "spy-smile.component" . }}
  minReplicaCount: {{ int .scaled.min }}
  maxReplicaCount: {{ int .scaled.max }}
  triggers:
    - type: kafka
      metadata:
        bootstrapServers: {{ include "spy-smile.kafkaBootstrap" .root | quote }}
        consumerGroup: {{ include "spy-smile.group" . | quote }}
        topic: {{ .topic }}
        lagThreshold: {{ include "spy-smile.text" .scaled.lag | quote }}
        offsetResetPolicy: earliest
        allowIdleConsumers: "false"
        {{- if eq .root.Values.kafka.mode "strimzi" }}
        tls: enable
        {{- end }}
      {{- with $authentication }}
      authenticationRef:
        name: {{ . | quote }}
      {{- end }}
{{- end }}
