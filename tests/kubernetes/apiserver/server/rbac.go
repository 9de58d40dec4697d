// SPDX-License-Identifier: Apache-2.0
package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	rbac "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	listers "k8s.io/client-go/listers/rbac/v1"
)

// Role-based access from the cached objects: kube-apiserver also looks at a copy that lags by a moment.
type roleAuthorizer struct {
	roles           listers.RoleLister
	bindings        listers.RoleBindingLister
	clusterRoles    listers.ClusterRoleLister
	clusterBindings listers.ClusterRoleBindingLister
}

func (r roleAuthorizer) Authorize(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	clusterBindings, err := r.clusterBindings.List(labels.Everything())
	if err != nil {
		return authorizer.DecisionNoOpinion, "", err
	}
	for _, binding := range clusterBindings {
		if applies(binding.Subjects, "", a.GetUser()) && r.allowed(binding.RoleRef, "", a) {
			return authorizer.DecisionAllow, "", nil
		}
	}
	if a.GetNamespace() == "" {
		return authorizer.DecisionNoOpinion, "", nil
	}
	bindings, err := r.bindings.RoleBindings(a.GetNamespace()).List(labels.Everything())
	if err != nil {
		return authorizer.DecisionNoOpinion, "", err
	}
	for _, binding := range bindings {
		if applies(binding.Subjects, binding.Namespace, a.GetUser()) && r.allowed(binding.RoleRef, binding.Namespace, a) {
			return authorizer.DecisionAllow, fmt.Sprintf("RBAC: allowed by RoleBinding %q", binding.Name), nil
		}
	}
	return authorizer.DecisionNoOpinion, "", nil
}

func (r roleAuthorizer) allowed(ref rbac.RoleRef, namespace string, a authorizer.Attributes) bool {
	var rules []rbac.PolicyRule
	switch ref.Kind {
	case "ClusterRole":
		role, err := r.clusterRoles.Get(ref.Name)
		if err != nil {
			return false
		}
		rules = role.Rules
	case "Role":
		role, err := r.roles.Roles(namespace).Get(ref.Name)
		if err != nil {
			return false
		}
		rules = role.Rules
	}
	return slices.ContainsFunc(rules, func(rule rbac.PolicyRule) bool { return ruleAllows(rule, a) })
}

func ruleAllows(rule rbac.PolicyRule, a authorizer.Attributes) bool {
	has := func(list []string, word string) bool {
		return slices.Contains(list, word) || slices.Contains(list, "*")
	}
	if !has(rule.Verbs, a.GetVerb()) {
		return false
	}
	if !a.IsResourceRequest() {
		return slices.ContainsFunc(rule.NonResourceURLs, func(url string) bool {
			return url == a.GetPath() || (strings.HasSuffix(url, "*") && strings.HasPrefix(a.GetPath(), strings.TrimSuffix(url, "*")))
		})
	}
	resource := a.GetResource()
	if a.GetSubresource() != "" {
		resource += "/" + a.GetSubresource()
	}
	return has(rule.APIGroups, a.GetAPIGroup()) && has(rule.Resources, resource) &&
		(len(rule.ResourceNames) == 0 || slices.Contains(rule.ResourceNames, a.GetName()))
}

func applies(subjects []rbac.Subject, namespace string, who user.Info) bool {
	return slices.ContainsFunc(subjects, func(subject rbac.Subject) bool {
		switch subject.Kind {
		case rbac.UserKind:
			return subject.Name == who.GetName()
		case rbac.GroupKind:
			return slices.Contains(who.GetGroups(), subject.Name)
		case rbac.ServiceAccountKind:
			in := subject.Namespace
			if in == "" {
				in = namespace
			}
			return in != "" && serviceaccount.MatchesUsername(in, subject.Name, who.GetName())
		}
		return false
	})
}
