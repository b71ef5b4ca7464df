{{/* Labels of a component: (dict "root" $ "component" "worker") */}}
{{- define "talaria.labels" -}}
app.kubernetes.io/name: talaria
app.kubernetes.io/instance: {{ .root.Values.name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "talaria.image" -}}
{{ not (empty .Values.image.tag) | ternary (printf "%s:%s" .Values.image.repository .Values.image.tag) .Values.image.repository | quote }}
{{- end }}

{{- define "talaria.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "talaria.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop:
    - ALL
{{- end }}

{{/* Copies go to different nodes and zones: (dict "root" $ "component" "worker") */}}
{{- define "talaria.spread" -}}
{{- range $key := list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
- maxSkew: 1
  topologyKey: {{ $key }}
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels:
      {{- include "talaria.labels" $ | nindent 6 }}
{{- end }}
{{- end }}

{{/* The volume `model` of a worker or of the gateway, if it has one */}}
{{- define "talaria.modelVolume" -}}
{{- if .image }}
- name: model
  image:
    reference: {{ .image | quote }}
    pullPolicy: IfNotPresent
{{- else if .claim }}
- name: model
  persistentVolumeClaim:
    claimName: {{ .claim | quote }}
    readOnly: true
{{- end }}
{{- end }}
