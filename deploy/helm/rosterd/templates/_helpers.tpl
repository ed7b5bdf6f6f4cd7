{{- define "rosterd.name" -}}
{{- if contains "rosterd" .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{ else }}{{ printf "%s-rosterd" .Release.Name | trunc 50 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "rosterd.labels" -}}
app.kubernetes.io/name: rosterd
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- /* Which pods: call with (dict "root" $ "component" "web"). */}}
{{- define "rosterd.selector" -}}
app.kubernetes.io/name: rosterd
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- /* A pod of one container: (dict "root" $ "component" .. "args" (list ..) "resources" .. "ports" .. "probes" .. "lifecycle" ..). */}}
{{- define "rosterd.pod" -}}
automountServiceAccountToken: false
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile: {type: RuntimeDefault}
# Longer than a batch may take: what is in hand is finished, the rest stays in the table.
terminationGracePeriodSeconds: 40
{{- with .root.Values.nodeSelector }}
nodeSelector: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.tolerations }}
tolerations: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.affinity }}
affinity: {{ toYaml . | nindent 2 }}
{{- end }}
# A node, or a zone, that goes must not take every pod of a kind with it.
topologySpreadConstraints:
  {{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
  - maxSkew: 1
    topologyKey: {{ . }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{ include "rosterd.selector" $ | nindent 8 }}
  {{- end }}
containers:
  - name: {{ .component }}
    image: {{ printf "%s:%s" .root.Values.image.repository (.root.Values.image.tag | default .root.Chart.AppVersion) | quote }}
    imagePullPolicy: {{ .root.Values.image.pullPolicy }}
    args: {{ toJson .args }}
    envFrom:
      - secretRef:
          name: {{ required "existingSecret: name the secret that holds ROSTERD_DATABASE_URL and the others (values.yaml tells how to make it)" .root.Values.existingSecret }}
    env:
      - {name: ROSTERD_LOG_FORMAT, value: json}
      # Named once more, so that a pod is not started without it: keys that each pod makes for
      # itself open nothing of the others.
      - name: ROSTERD_SECRET_KEYS
        valueFrom:
          secretKeyRef: {name: {{ .root.Values.existingSecret }}, key: ROSTERD_SECRET_KEYS, optional: false}
      {{- range $name, $value := .root.Values.settings }}
      - {name: {{ $name }}, value: {{ $value | quote }}}
      {{- end }}
    securityContext:
      allowPrivilegeEscalation: false
      readOnlyRootFilesystem: true
      capabilities: {drop: [ALL]}
    {{- with .ports }}
    ports: {{ toYaml . | nindent 6 }}
    {{- end }}
    {{- with .probes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
    {{- with .lifecycle }}
    lifecycle: {{ toYaml . | nindent 6 }}
    {{- end }}
    {{- with .resources }}
    resources: {{ toYaml . | nindent 6 }}
    {{- end }}
    volumeMounts:
      - {name: tmp, mountPath: /tmp}
      # Nothing is kept in a pod; where the key above is empty, none can be made here.
      - {name: data, mountPath: /var/lib/rosterd, readOnly: true}
volumes:
  - name: tmp
    emptyDir: {}
  - name: data
    emptyDir: {}
{{- end }}

{{- /* What makes Prometheus look at a pod without an operator: call with the port. */}}
{{- define "rosterd.scraped" -}}
prometheus.io/scrape: "true"
prometheus.io/port: {{ . | quote }}
prometheus.io/path: /metrics
{{- end }}
