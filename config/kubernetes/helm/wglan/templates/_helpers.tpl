{{/* What Helm adds to the labels of every object. */}}
{{- define "wglan.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "wglan.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "wglan.pullPolicy" -}}
{{- with .Values.image.pullPolicy }}
imagePullPolicy: {{ . }}
{{- end }}
{{- end }}

{{- define "wglan.pullSecrets" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* The agent's configuration as YAML: the defaults of config/kubernetes/base/agent.yaml below the user's. */}}
{{- define "wglan.config" -}}
{{- $defaults := dict "cluster" (dict "tokenFile" "/var/run/secrets/wglan/token") -}}
{{- /* merge would take false for unset. */ -}}
{{- if not (hasKey (dig "discovery" "kubernetes" dict .Values.config) "enabled") -}}
{{- $_ := set $defaults "discovery" (dict "kubernetes" (dict "enabled" true)) -}}
{{- end -}}
{{- if .Values.wireguardGo.enabled -}}
{{- $_ := set $defaults "interface" (dict "wireguardGo" "external") -}}
{{- end -}}
{{- toYaml (merge (deepCopy .Values.config) $defaults) -}}
{{- end }}

{{- define "wglan.metricsListen" -}}
{{- dig "metrics" "listen" "127.0.0.1:9586" .Values.config -}}
{{- end }}

{{- define "wglan.metricsPort" -}}
{{- include "wglan.metricsListen" . | regexFind "[0-9]+$" | required "config.metrics.listen: the probes need it, ADDRESS:PORT" -}}
{{- end }}

{{/* Where the kubelet reaches it: a pod of the host's network is at 127.0.0.1, unless it listens on one address. */}}
{{- define "wglan.metricsHost" -}}
{{- $host := regexReplaceAll ":[0-9]+$" (include "wglan.metricsListen" .) "" | trimPrefix "[" | trimSuffix "]" -}}
{{- if has $host (list "0.0.0.0" "::") -}}127.0.0.1{{- else -}}{{ $host }}{{- end -}}
{{- end }}

{{/* Fails where Prometheus would find nothing. */}}
{{- define "wglan.needMetrics" -}}
{{- if has (include "wglan.metricsHost" . ) (list "127.0.0.1" "::1" "localhost") -}}
{{- if not (regexMatch "^(0\\.0\\.0\\.0|\\[::\\]):" (include "wglan.metricsListen" .)) -}}
{{- fail "podMonitor and serviceMonitor: set config.metrics.listen to an address that Prometheus reaches, e.g. \"[::]:9586\"" -}}
{{- end -}}
{{- end -}}
{{- end }}
