{{- define "niyanta.name" -}}
{{- default .Release.Name .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "niyanta.selector" -}}
app.kubernetes.io/name: niyanta
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "niyanta.labels" -}}
{{ include "niyanta.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "niyanta.image" -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}

{{- define "niyanta.pod" -}}
automountServiceAccountToken: false
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile: {type: RuntimeDefault}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end -}}

{{- define "niyanta.container" -}}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end -}}

{{- define "niyanta.databaseUrl" -}}
- name: NIYANTA_DATABASE_URL
  valueFrom:
    secretKeyRef: {name: {{ .Values.database.existingSecret }}, key: {{ .Values.database.key }}}
{{- end -}}

{{- define "niyanta.brokerUrl" -}}
- name: NIYANTA_NATS_URL
  value: {{ .Values.broker.url | quote }}
{{- if .Values.broker.tlsSecret }}
- {name: NIYANTA_NATS_TLS_CA, value: /etc/niyanta/broker/ca.crt}
{{- end }}
{{- end -}}

{{- define "niyanta.tls" -}}
{{- if .Values.tls.existingSecret }}
- {name: NIYANTA_TLS_CERT, value: /etc/niyanta/tls/tls.crt}
- {name: NIYANTA_TLS_KEY, value: /etc/niyanta/tls/tls.key}
{{- with .Values.tls.clientCertificates }}
- {name: NIYANTA_TLS_CLIENT_CA, value: /etc/niyanta/tls/ca.crt}
- {name: NIYANTA_TLS_CLIENT_CERTS, value: {{ . }}}
{{- end }}
{{- end }}
{{- end -}}

{{/* Whole folders are mounted: what is mounted as a file is never replaced. */}}
{{- define "niyanta.mount" -}}
{{- if .secret }}
- {name: {{ .name }}, mountPath: /etc/niyanta/{{ .name }}, readOnly: true}
{{- end }}
{{- end -}}

{{- define "niyanta.volume" -}}
{{- if .secret }}
- name: {{ .name }}
  secret: {secretName: {{ .secret }}, defaultMode: 0440}
{{- end }}
{{- end -}}

{{/* Who shows no certificate can only see whether the port is open. */}}
{{- define "niyanta.probe" -}}
{{- if eq .tls.clientCertificates "required" -}}
tcpSocket: {port: http}
{{- else if .tls.existingSecret -}}
httpGet: {path: {{ .path }}, port: http, scheme: HTTPS}
{{- else -}}
httpGet: {path: {{ .path }}, port: http}
{{- end -}}
{{- end -}}

{{- define "niyanta.objectStore" -}}
{{- if .Values.objectStore.url }}
- name: NIYANTA_OBJECT_STORE_URL
  value: {{ .Values.objectStore.url | quote }}
{{- end }}
{{- end -}}

{{- define "niyanta.objectStoreSecret" -}}
{{- with .Values.objectStore.existingSecret }}
- secretRef: {name: {{ . }}}
{{- end }}
{{- end -}}

{{- define "niyanta.dns" -}}
- ports: [{port: 53, protocol: UDP}, {port: 53, protocol: TCP}]
{{- end -}}

{{- define "niyanta.telemetry" -}}
{{- range $name, $value := .Values.telemetry.settings }}
- {name: OTEL_{{ $name }}, value: {{ $value | quote }}}
{{- end }}
{{- end }}
