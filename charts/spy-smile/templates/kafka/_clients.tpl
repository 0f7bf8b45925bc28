{{/* How pods reach Kafka. With Strimzi each has its user's certificate; else what a Secret says. */}}

{{/* What librdkafka is told of Strimzi's certificates. */}}
{{- define "spy-smile.kafkaOptions" -}}
security.protocol=ssl,ssl.ca.location=/etc/kafka/ca.crt,ssl.certificate.location=/etc/kafka/user.crt,ssl.key.location=/etc/kafka/user.key
{{- end }}

{{/* The volume of /etc/kafka; empty without. Takes a stage. */}}
{{- define "spy-smile.kafkaFiles" -}}
{{- $cluster := include "spy-smile.fullname" .root }}
{{- if eq .root.Values.kafka.mode "strimzi" -}}
projected:
  defaultMode: 0440
  sources:
    - secret:
        name: {{ $cluster }}-cluster-ca-cert
        items: [{key: ca.crt, path: ca.crt}]
    - secret:
        name: {{ include "spy-smile.component" . }}
        items: [{key: user.crt, path: user.crt}, {key: user.key, path: user.key}]
{{- else if .root.Values.kafka.existingSecret -}}
secret:
  secretName: {{ .root.Values.kafka.existingSecret | quote }}
  defaultMode: 0440
  # Whichever of these it has.
  optional: true
  items:
    - {key: ca.crt, path: ca.crt}
    - {key: user.crt, path: user.crt}
    - {key: user.key, path: user.key}
{{- end }}
{{- end }}

{{/* Name of the TriggerAuthentication with which KEDA asks the brokers; empty for none. */}}
{{- define "spy-smile.kedaAuthentication" -}}
{{- if eq .Values.kafka.mode "strimzi" }}
{{- include "spy-smile.fullname" . }}-autoscaler
{{- else }}
{{- .Values.kafka.kedaAuthentication }}
{{- end }}
{{- end }}
