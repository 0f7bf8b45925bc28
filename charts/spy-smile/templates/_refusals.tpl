{{/* What each value allows by itself, but not beside another: refused by name, as the schema does. */}}
{{- define "spy-smile.refusals" -}}
{{- range $name, $part := merge (dict "kafka.strimzi" .Values.kafka.strimzi) .Values }}
{{- if kindIs "map" $part }}
{{- $resources := $part.resources | default dict }}
{{- $requests := $resources.requests | default dict }}
{{- range $what, $limit := $resources.limits | default dict }}
{{- $request := get $requests $what }}
{{- if gt (include "spy-smile.amount" $request | float64) (include "spy-smile.amount" $limit | float64) }}
{{- fail (printf "%s.resources.limits.%s: %v is less than the request, %v" $name $what $limit $request) }}
{{- end }}
{{- end }}
{{- $scale := $part.autoscaling | default dict }}
{{- if and (or $scale.enabled (eq ($scale.mode | default "") "hpa")) (not $requests.cpu) (not ($resources.limits | default dict).cpu) }}
{{- fail (printf "%s.resources.requests.cpu: the autoscaler measures load as a share of it; say how much" $name) }}
{{- end }}
{{- end }}
{{- end }}
{{- range splitList "," .Values.market.dividends }}
{{- $day := splitList ":" . | first }}
{{- if and $day (ne (toDate "2006-01-02" $day | date "2006-01-02") $day) }}
{{- fail (printf "market.dividends: there is no day %s" $day) }}
{{- end }}
{{- end }}
{{- end }}

{{/* A quantity as a number of its base unit; none is 0. */}}
{{- define "spy-smile.amount" -}}
{{- $text := toString (. | default 0) }}
{{- $units := dict "m" 0.001 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "P" 1e15 "Ki" 1024.0 "Mi" 1048576.0 "Gi" 1073741824.0 "Ti" 1099511627776.0 "Pi" 1125899906842624.0 }}
{{- $unit := regexFind "[a-zA-Z]+$" $text }}
{{- mulf (trimSuffix $unit $text | float64) (get $units $unit | default 1.0) }}
{{- end }}
