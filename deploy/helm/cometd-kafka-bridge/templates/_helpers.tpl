{{- define "bridge.name" -}}
{{- $name := printf "%s-%s" .Release.Name .Chart.Name }}
{{- if contains .Chart.Name .Release.Name }}
{{- $name = .Release.Name }}
{{- end }}
{{- $name | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "bridge.serviceAccountName" -}}
{{ .Values.serviceAccount.name | default (include "bridge.name" .) }}
{{- end }}

{{- define "bridge.selectorLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* The labels of all pods of the release. The Service and the Deployment choose by bridge.selectorLabels. */}}
{{- define "bridge.partLabels" -}}
app.kubernetes.io/part-of: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "bridge.labels" -}}
{{ include "bridge.selectorLabels" . }}
app.kubernetes.io/part-of: {{ .Chart.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "bridge.image" -}}
{{ .Values.image.repository }}{{ if .Values.image.digest }}@{{ .Values.image.digest }}{{ else }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end }}
{{- end }}

{{/* The variable of a setting, such as BRIDGE_KAFKA__BOOTSTRAP_SERVERS for kafka.bootstrap_servers. */}}
{{- define "bridge.variable" -}}
BRIDGE_{{ . | replace "." "__" | upper }}
{{- end }}

{{/* The settings of a section and of its subsections as variables. The arguments are the section, and its name with a dot at the end. */}}
{{- define "bridge.settings" -}}
{{- $under := index . 1 }}
{{- range $name, $value := index . 0 }}
{{- $setting := printf "%s%s" $under $name }}
{{- if kindIs "map" $value }}
{{- include "bridge.settings" (list $value (printf "%s." $setting)) }}
{{- else if not (kindIs "invalid" $value) }}
- name: {{ include "bridge.variable" $setting }}
  value: {{ if kindIs "slice" $value }}{{ toJson $value | quote }}{{ else if and (kindIs "float64" $value) (eq (floor $value) $value) }}{{ int64 $value | quote }}{{ else }}{{ toString $value | quote }}{{ end }}
{{- end }}
{{- end }}
{{- end }}

{{/* The variables with the settings, for every container of the bridge. */}}
{{- define "bridge.environment" -}}
{{- include "bridge.settings" (list .Values.config "") | trim | nindent 0 }}
{{- if and .Values.config.http.allow_unauthenticated (not .Values.config.http.allowed_hosts) }}
- name: BRIDGE_HTTP__ALLOWED_HOSTS
  value: {{ include "bridge.hosts" . | quote }}
{{- end }}
{{- range $setting := keys .Values.files | sortAlpha }}
- name: {{ include "bridge.variable" $setting }}
  value: /etc/bridge/{{ $setting }}
{{- end }}
{{- if .Values.accounts }}
{{- $accounts := list }}
{{- range $index, $account := .Values.accounts }}
{{- $file := printf "/etc/bridge/accounts.%d.password_file" $index }}
{{- $accounts = append $accounts (dict "name" $account.name "username" $account.username "password_file" $file) }}
{{- end }}
- name: BRIDGE_ACCOUNTS
  value: {{ toJson $accounts | quote }}
{{- end }}
{{- end }}

{{/* The volume with the files of the settings. */}}
{{- define "bridge.filesVolume" -}}
- name: files
  projected:
    defaultMode: 0440
    sources:
      {{- range $setting := keys .Values.files | sortAlpha }}
      {{- $file := index $.Values.files $setting }}
      - {{ if $file.secret }}secret{{ else }}configMap{{ end }}:
          name: {{ $file.secret | default $file.configMap }}
          items: [{ key: {{ $file.key | quote }}, path: {{ $setting }} }]
      {{- end }}
      {{- range $index, $account := .Values.accounts }}
      - secret:
          name: {{ $account.secret }}
          items: [{ key: {{ $account.key | quote }}, path: accounts.{{ $index }}.password_file }]
      {{- end }}
{{- end }}

{{- define "bridge.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "bridge.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{/* Not empty if the release is a fleet. */}}
{{- define "bridge.inFleet" -}}
{{- if or (gt (int .Values.replicas) 1) .Values.autoscaling.enabled (.Values.config.fleet | default dict).enabled }}true{{ end }}
{{- end }}

{{/* Not empty if another replica can continue the sessions of an evicted replica. */}}
{{- define "bridge.hasOthers" -}}
{{- if gt (int (ternary .Values.autoscaling.minReplicas .Values.replicas .Values.autoscaling.enabled)) 1 }}true{{ end }}
{{- end }}

{{/* The number of pods that may be evicted at the same time. */}}
{{- define "bridge.maxUnavailable" -}}
{{- if hasKey .Values.podDisruptionBudget "maxUnavailable" }}{{ .Values.podDisruptionBudget.maxUnavailable }}
{{- else if include "bridge.hasOthers" . }}1{{ else }}0{{ end }}
{{- end }}

{{/* The names by which the namespace's and the cluster's pods reach the Service. */}}
{{- define "bridge.hosts" -}}
{{- $name := include "bridge.name" . }}
{{- $inside := printf "%s.%s" $name .Release.Namespace }}
{{- list $name $inside (printf "%s.svc" $inside) (printf "%s.svc.%s" $inside .Values.clusterDomain) | toJson }}
{{- end }}

{{/* Refuses values that contradict each other, which values.schema.json can't express. */}}
{{- define "bridge.check" -}}
{{- $site := .Values.config.web_services }}
{{- $password := hasKey .Values.files "web_services.password_file" }}
{{- $file := hasKey .Values.files "accounts_file" }}
{{- if and $file (or .Values.accounts $site.username $password) }}
{{- fail "files.accounts_file: remove accounts, config.web_services.username and files.\"web_services.password_file\"" }}
{{- end }}
{{- if and .Values.accounts (or $site.username $password) }}
{{- fail "accounts: keep either this list, or config.web_services.username and files.\"web_services.password_file\"" }}
{{- end }}
{{- if not (or $file .Values.accounts (and $site.username $password)) }}
{{- fail "the account is missing: set config.web_services.username and files.\"web_services.password_file\", accounts, or files.accounts_file" }}
{{- end }}
{{- if and (include "bridge.inFleet" .) (hasKey (.Values.config.fleet | default dict) "enabled") (not .Values.config.fleet.enabled) }}
{{- fail "config.fleet.enabled is false, but several replicas need a fleet: remove it, or set replicas to 1 and autoscaling.enabled to false" }}
{{- end }}
{{- if gt (int .Values.autoscaling.minReplicas) (int .Values.autoscaling.maxReplicas) }}
{{- fail "autoscaling.minReplicas is greater than autoscaling.maxReplicas" }}
{{- end }}
{{- if .Values.evidenceArchive.enabled }}
{{- if not (hasKey .Values.files "evidence.key_file") }}
{{- fail "evidenceArchive: set files.\"evidence.key_file\", because the archive must be signed" }}
{{- end }}
{{- if not .Values.evidenceArchive.since }}
{{- fail "evidenceArchive.since: set the first day of the archive, such as 2026-11-01" }}
{{- end }}
{{- if not .Values.evidenceArchive.volume }}
{{- fail "evidenceArchive.volume: set the volume of the archive, such as { persistentVolumeClaim: { claimName: archive } }" }}
{{- end }}
{{- end }}
{{- $callers := (.Values.config.http.authentication | default dict).method | default "none" }}
{{- if and (eq $callers "none") (not .Values.config.http.allow_unauthenticated) }}
{{- fail "callers must authenticate: set config.http.authentication.method to tokens or jwt, or config.http.allow_unauthenticated to true" }}
{{- end }}
{{- end }}
