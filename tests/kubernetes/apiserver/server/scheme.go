// SPDX-License-Identifier: Apache-2.0
package main

import (
	admissionregistration "k8s.io/api/admissionregistration/v1"
	apps "k8s.io/api/apps/v1"
	authentication "k8s.io/api/authentication/v1"
	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	events "k8s.io/api/events/v1"
	flowcontrol "k8s.io/api/flowcontrol/v1"
	policy "k8s.io/api/policy/v1"
	rbac "k8s.io/api/rbac/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
)

var (
	scheme = runtime.NewScheme()
	codecs = serializer.NewCodecFactory(scheme)
)

// One kind and where it is served.
type resource struct {
	group            schema.GroupVersion
	name, singular   string
	object, list     runtime.Object
	namespaced       bool
	status           bool // has the subresource
	ttl              uint64
	short            []string
	validate         func(object runtime.Object) []string
	validateUpdate   func(object, old runtime.Object) []string
	prepareForUpdate func(object, old runtime.Object)
}

var resources = []resource{
	{group: core.SchemeGroupVersion, name: "namespaces", singular: "namespace", object: &core.Namespace{}, list: &core.NamespaceList{}, status: true, short: []string{"ns"}},
	{group: core.SchemeGroupVersion, name: "nodes", singular: "node", object: &core.Node{}, list: &core.NodeList{}, status: true, short: []string{"no"}, validateUpdate: validateNodeUpdate},
	{group: core.SchemeGroupVersion, name: "pods", singular: "pod", object: &core.Pod{}, list: &core.PodList{}, namespaced: true, status: true, short: []string{"po"}},
	{group: core.SchemeGroupVersion, name: "serviceaccounts", singular: "serviceaccount", object: &core.ServiceAccount{}, list: &core.ServiceAccountList{}, namespaced: true, short: []string{"sa"}},
	{group: core.SchemeGroupVersion, name: "secrets", singular: "secret", object: &core.Secret{}, list: &core.SecretList{}, namespaced: true},
	{group: core.SchemeGroupVersion, name: "configmaps", singular: "configmap", object: &core.ConfigMap{}, list: &core.ConfigMapList{}, namespaced: true, short: []string{"cm"}},
	{group: core.SchemeGroupVersion, name: "services", singular: "service", object: &core.Service{}, list: &core.ServiceList{}, namespaced: true, status: true, short: []string{"svc"}},
	{group: apps.SchemeGroupVersion, name: "daemonsets", singular: "daemonset", object: &apps.DaemonSet{}, list: &apps.DaemonSetList{}, namespaced: true, status: true, short: []string{"ds"}},
	{group: apps.SchemeGroupVersion, name: "deployments", singular: "deployment", object: &apps.Deployment{}, list: &apps.DeploymentList{}, namespaced: true, status: true},
	{group: batch.SchemeGroupVersion, name: "jobs", singular: "job", object: &batch.Job{}, list: &batch.JobList{}, namespaced: true, status: true},
	{group: policy.SchemeGroupVersion, name: "poddisruptionbudgets", singular: "poddisruptionbudget", object: &policy.PodDisruptionBudget{}, list: &policy.PodDisruptionBudgetList{}, namespaced: true, status: true},
	{group: rbac.SchemeGroupVersion, name: "roles", singular: "role", object: &rbac.Role{}, list: &rbac.RoleList{}, namespaced: true},
	{group: rbac.SchemeGroupVersion, name: "rolebindings", singular: "rolebinding", object: &rbac.RoleBinding{}, list: &rbac.RoleBindingList{}, namespaced: true},
	{group: rbac.SchemeGroupVersion, name: "clusterroles", singular: "clusterrole", object: &rbac.ClusterRole{}, list: &rbac.ClusterRoleList{}},
	{group: rbac.SchemeGroupVersion, name: "clusterrolebindings", singular: "clusterrolebinding", object: &rbac.ClusterRoleBinding{}, list: &rbac.ClusterRoleBindingList{}},
	{group: discovery.SchemeGroupVersion, name: "endpointslices", singular: "endpointslice", object: &discovery.EndpointSlice{}, list: &discovery.EndpointSliceList{}, namespaced: true},
	{group: events.SchemeGroupVersion, name: "events", singular: "event", object: &events.Event{}, list: &events.EventList{}, namespaced: true, ttl: 3600, validate: validateEvent, validateUpdate: validateEventUpdate},
	{group: admissionregistration.SchemeGroupVersion, name: "validatingadmissionpolicies", singular: "validatingadmissionpolicy", object: &admissionregistration.ValidatingAdmissionPolicy{}, list: &admissionregistration.ValidatingAdmissionPolicyList{}, status: true, validate: validatePolicy},
	{group: admissionregistration.SchemeGroupVersion, name: "validatingadmissionpolicybindings", singular: "validatingadmissionpolicybinding", object: &admissionregistration.ValidatingAdmissionPolicyBinding{}, list: &admissionregistration.ValidatingAdmissionPolicyBindingList{}},
	{group: flowcontrol.SchemeGroupVersion, name: "flowschemas", singular: "flowschema", object: &flowcontrol.FlowSchema{}, list: &flowcontrol.FlowSchemaList{}, status: true},
	{group: flowcontrol.SchemeGroupVersion, name: "prioritylevelconfigurations", singular: "prioritylevelconfiguration", object: &flowcontrol.PriorityLevelConfiguration{}, list: &flowcontrol.PriorityLevelConfigurationList{}, status: true},
}

// The library wants internal kinds beside the served ones. Here they are the same Go types.
func init() {
	for _, add := range []func(*runtime.Scheme) error{
		core.AddToScheme, apps.AddToScheme, batch.AddToScheme, policy.AddToScheme, rbac.AddToScheme, discovery.AddToScheme,
		events.AddToScheme, admissionregistration.AddToScheme, flowcontrol.AddToScheme, authentication.AddToScheme,
	} {
		utilruntime.Must(add(scheme))
	}
	meta.AddToGroupVersion(scheme, schema.GroupVersion{Version: "v1"})
	internal := func(group string) schema.GroupVersion {
		return schema.GroupVersion{Group: group, Version: runtime.APIVersionInternal}
	}
	for _, r := range resources {
		scheme.AddKnownTypes(internal(r.group.Group), r.object, r.list)
	}
	scheme.AddKnownTypes(internal(authentication.GroupName), &authentication.TokenRequest{})
	scheme.AddTypeDefaultingFunc(&admissionregistration.ValidatingAdmissionPolicy{}, func(object any) {
		policy := object.(*admissionregistration.ValidatingAdmissionPolicy)
		if policy.Spec.FailurePolicy == nil {
			fail := admissionregistration.Fail
			policy.Spec.FailurePolicy = &fail
		}
		setMatchDefaults(policy.Spec.MatchConstraints)
	})
	scheme.AddTypeDefaultingFunc(&admissionregistration.ValidatingAdmissionPolicyBinding{}, func(object any) {
		setMatchDefaults(object.(*admissionregistration.ValidatingAdmissionPolicyBinding).Spec.MatchResources)
	})
	for _, version := range versions() {
		utilruntime.Must(scheme.SetVersionPriority(version))
	}
}

// Of all defaults, those that the library's admission relies on.
func setMatchDefaults(match *admissionregistration.MatchResources) {
	if match == nil {
		return
	}
	if match.MatchPolicy == nil {
		equivalent := admissionregistration.Equivalent
		match.MatchPolicy = &equivalent
	}
	if match.NamespaceSelector == nil {
		match.NamespaceSelector = &meta.LabelSelector{}
	}
	if match.ObjectSelector == nil {
		match.ObjectSelector = &meta.LabelSelector{}
	}
	for i := range match.ResourceRules {
		if match.ResourceRules[i].Scope == nil {
			all := admissionregistration.AllScopes
			match.ResourceRules[i].Scope = &all
		}
	}
}

func versions() []schema.GroupVersion {
	var out []schema.GroupVersion
	seen := map[schema.GroupVersion]bool{}
	for _, r := range resources {
		if !seen[r.group] {
			seen[r.group] = true
			out = append(out, r.group)
		}
	}
	return out
}
