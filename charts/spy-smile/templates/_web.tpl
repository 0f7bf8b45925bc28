{{/* What leads browsers to a component: a stage with "web", its ingress or httpRoute of the values. */}}

{{- define "spy-smile.ingress" -}}
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  {{- include "spy-smile.metadata" . | nindent 2 }}
  {{- with .web.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  {{- with .web.className }}
  ingressClassName: {{ . | quote }}
  {{- end }}
  {{- if .web.tlsSecret }}
  tls:
    - secretName: {{ .web.tlsSecret | quote }}
      {{- with .web.host }}
      hosts: [{{ . | quote }}]
      {{- end }}
  {{- end }}
  rules:
    - http:
        paths:
          - path: {{ .web.path | default "/" | quote }}
            pathType: Prefix
            backend:
              service:
                name: {{ include "spy-smile.component" . }}
                port: {name: http}
      {{- with .web.host }}
      host: {{ . | quote }}
      {{- end }}
{{- end }}

{{- define "spy-smile.httpRoute" -}}
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  {{- include "spy-smile.metadata" . | nindent 2 }}
spec:
  parentRefs:
    {{- toYaml .web.parentRefs | nindent 4 }}
  {{- with .web.hostnames }}
  hostnames:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  rules:
    - matches:
        - path: {type: PathPrefix, value: {{ .web.path | default "/" | quote }}}
      backendRefs:
        - name: {{ include "spy-smile.component" . }}
          port: {{ .port }}
{{- end }}
