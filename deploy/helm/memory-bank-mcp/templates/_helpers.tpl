{{- define "memory-bank-mcp.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 53 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 53 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- /* Labels of every object. */ -}}
{{- define "memory-bank-mcp.labels" -}}
app.kubernetes.io/part-of: memory-bank-mcp
app.kubernetes.io/version: {{ .Chart.AppVersion | trunc 63 | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- /* What selects the pods of this release that have the name: list $ "redis". */ -}}
{{- define "memory-bank-mcp.selector" -}}
app.kubernetes.io/name: {{ index . 1 }}
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
{{- end -}}

{{- define "memory-bank-mcp.image" -}}
{{- printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end -}}

{{- define "memory-bank-mcp.databaseVariable" -}}
{{- eq .Values.database.provider "supabase" | ternary "SUPABASE_DB_URL_FILE" "DATABASE_URL_FILE" -}}
{{- end -}}

{{- define "memory-bank-mcp.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile: { type: RuntimeDefault }
{{- end -}}

{{- define "memory-bank-mcp.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end -}}

{{- /* Placement and registries, for every pod. */ -}}
{{- define "memory-bank-mcp.placement" -}}
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{ toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- /* A value as text. To Helm the whole numbers of a file are floating-point numbers, and it would write 1e+06. */ -}}
{{- define "memory-bank-mcp.text" -}}
{{- if kindIs "float64" . -}}{{- printf "%.0f" . -}}{{- else -}}{{- toString . -}}{{- end -}}
{{- end -}}

{{- /* The settings as the ConfigMap has them. */ -}}
{{- define "memory-bank-mcp.settings" -}}
{{- $all := dict "DB_PROVIDER" .Values.database.provider "ALLOWED_HOSTS" .Values.host "PUBLIC_URL" (printf "https://%s" .Values.host) -}}
{{- if not (hasKey .Values.secretFiles "REDIS_URL_FILE") -}}
{{- $own := printf "redis://%s-redis:6379" (include "memory-bank-mcp.name" .) -}}
{{- $_ := set $all "REDIS_URL" (.Values.redis.enabled | ternary $own .Values.redis.url) -}}
{{- end -}}
{{- if .Values.metrics.enabled -}}
{{- $_ := set $all "METRICS_ADDR" (printf "0.0.0.0:%d" (int .Values.metrics.port)) -}}
{{- end -}}
{{- range $name, $value := .Values.settings -}}
{{- $_ := set $all $name (include "memory-bank-mcp.text" $value) -}}
{{- end -}}
{{- range $name, $value := $all }}
{{ $name }}: {{ $value | quote }}
{{- end -}}
{{- end -}}

{{- /* The most connections that the servers open together: two more of them during a rollout, one that starts and one that ends. */ -}}
{{- define "memory-bank-mcp.connections" -}}
{{- $servers := .Values.autoscaling.enabled | ternary .Values.autoscaling.maxReplicas .Values.replicas | int -}}
{{- $each := .Values.settings.DB_MAX_CONNECTIONS | default (eq .Values.database.provider "supabase" | ternary 10 20) | int -}}
{{- mul (add $servers 2) $each -}}
{{- end -}}

{{- /* What the schema of the values cannot check. */ -}}
{{- define "memory-bank-mcp.check" -}}
{{- $scaling := .Values.autoscaling -}}
{{- if and $scaling.enabled (lt (int $scaling.maxReplicas) (int $scaling.minReplicas)) -}}
{{- fail (printf "autoscaling.maxReplicas is %d, less than autoscaling.minReplicas (%d)" (int $scaling.maxReplicas) (int $scaling.minReplicas)) -}}
{{- end -}}
{{- if and $scaling.enabled $scaling.podMetrics (not .Values.metrics.enabled) -}}
{{- fail "autoscaling.podMetrics needs metrics.enabled: without it the servers have no metrics" -}}
{{- end -}}
{{- if and (hasKey .Values.secretFiles "REDIS_URL_FILE") (or .Values.redis.enabled .Values.redis.url) -}}
{{- fail "secretFiles.REDIS_URL_FILE names another Redis: set redis.enabled to false and redis.url to nothing" -}}
{{- end -}}
{{- $most := int .Values.database.maxConnections -}}
{{- $needed := add 10 (include "memory-bank-mcp.connections" . | int) | int -}}
{{- if and $most (gt $needed $most) -}}
{{- fail (printf "the servers, two more during a rollout, may need %d connections with 10 for others, and database.maxConnections is %d: lower settings.DB_MAX_CONNECTIONS or the number of servers, or raise max_connections" $needed $most) -}}
{{- end -}}
{{- end -}}
