{{/*
For `skaffold dev`: code in a volume that copied files can be written to, while the images' own root
stays read-only. All take a stage.
*/}}

{{/* Not empty for a stage whose code can be replaced while it runs; not for a container that has
     "borrows" another's image in a pod of its own. */}}
{{- define "spy-smile.develops" -}}
{{- $ours := list "ingest" "simulator" "writer" "features" "predictor" "monitor" "model-server" "dashboard" }}
{{- if and .root.Values.development.sync (has .name $ours) (not .borrows) }}yes{{ end }}
{{- end }}

{{/* The image's code, copied before the stage starts. */}}
{{- define "spy-smile.codeCopy" -}}
- name: code
  {{- include "spy-smile.container" . | nindent 2 }}
  command: [cp, -r, /app/., /code/]
  volumeMounts:
    - {name: code, mountPath: /code}
{{- end }}

{{/* The image's command in a loop: to end the process begins it anew, with whatever code is there
     then, and without the kubelet's ever longer pauses. */}}
{{- define "spy-smile.codeLoop" -}}
{{- $module := eq .name "dashboard" | ternary .name (printf "services.%s" (replace "-" "_" .name)) }}
command:
  - sh
  - -c
  - |
    trap 'kill -TERM "$child"; wait "$child"; exit' TERM
    while :; do
      "$@" &
      child=$!
      echo "$child" > /tmp/child
      wait "$child"
      sleep 1
    done
  - sh
  - python
  - -m
  - {{ $module }}
  {{- if and (eq .name "simulator") (not .args) }}
  - serve
  {{- end }}
{{- end }}
