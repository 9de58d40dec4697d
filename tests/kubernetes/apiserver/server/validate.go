// SPDX-License-Identifier: Apache-2.0
package main

import (
	"fmt"
	"reflect"

	admissionregistration "k8s.io/api/admissionregistration/v1"
	core "k8s.io/api/core/v1"
	events "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation"
	plugincel "k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/matchconditions"
	"k8s.io/apiserver/pkg/cel/environment"
)

// ValidateNodeUpdate: of the spec, taints and unschedulable may change, and podCIDRs once.
func validateNodeUpdate(object, old runtime.Object) []string {
	after, before := object.(*core.Node).Spec, old.(*core.Node).Spec
	var wrong []string
	if len(before.PodCIDRs) > 0 && !reflect.DeepEqual(after.PodCIDRs, before.PodCIDRs) {
		wrong = append(wrong, "spec.podCIDRs: node updates may not change podCIDR except from \"\" to valid")
	}
	if before.ProviderID != "" && after.ProviderID != before.ProviderID {
		wrong = append(wrong, "spec.providerID: node updates may not change providerID except from \"\" to valid")
	}
	return wrong
}

// ValidateEventCreate of events.k8s.io/v1.
func validateEvent(object runtime.Object) []string {
	event := object.(*events.Event)
	var wrong []string
	need := func(right bool, what string) {
		if !right {
			wrong = append(wrong, what)
		}
	}
	need(event.Regarding.Namespace == event.Namespace || (event.Regarding.Namespace == "" && event.Namespace == "default"),
		"involvedObject.namespace: does not match event.namespace")
	need(!event.EventTime.IsZero(), "eventTime: Required value")
	need(len(validation.IsQualifiedName(event.ReportingController)) == 0, "reportingController: Invalid value")
	for name, value := range map[string]string{
		"reportingInstance": event.ReportingInstance, "action": event.Action, "reason": event.Reason,
	} {
		need(value != "" && len(value) <= 128, name+": Required value, at most 128 characters")
	}
	need(len(event.Note) <= 1024, "message: can have at most 1024 characters")
	need(event.Type == "Normal" || event.Type == "Warning", "type: has invalid value")
	need(event.DeprecatedCount == 0 && event.DeprecatedFirstTimestamp.IsZero() &&
		event.DeprecatedLastTimestamp.IsZero() && event.DeprecatedSource.Component == "", "deprecated fields: needs to be unset")
	if event.Series != nil {
		need(event.Series.Count >= 2, "series.count: should be at least 2")
		need(!event.Series.LastObservedTime.IsZero(), "series.lastObservedTime: Required value")
	}
	return wrong
}

// ValidateEventUpdate: all but the series stays.
func validateEventUpdate(object, old runtime.Object) []string {
	after, before := object.(*events.Event).DeepCopy(), old.(*events.Event).DeepCopy()
	after.Series, before.Series = nil, nil
	after.ObjectMeta, before.ObjectMeta = before.ObjectMeta, before.ObjectMeta
	after.TypeMeta, before.TypeMeta = before.TypeMeta, before.TypeMeta
	if !reflect.DeepEqual(after, before) {
		return []string{"field is immutable"}
	}
	return nil
}

// Expressions that don't compile are refused, as kube-apiserver does; what they say of types is typecheck.go's.
func validatePolicy(object runtime.Object) []string {
	policy := object.(*admissionregistration.ValidatingAdmissionPolicy)
	compiler, err := plugincel.NewCompositedCompiler(environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion()))
	if err != nil {
		return []string{err.Error()}
	}
	options := plugincel.OptionalVariableDeclarations{HasParams: policy.Spec.ParamKind != nil, HasAuthorizer: true}
	var wrong []string
	compiled := func(where string, result plugincel.CompilationResult) {
		if result.Error != nil {
			wrong = append(wrong, fmt.Sprintf("spec.%s: %s", where, result.Error.Detail))
		}
	}
	for i, condition := range policy.Spec.MatchConditions {
		accessor := matchconditions.MatchCondition(condition)
		compiled(fmt.Sprintf("matchConditions[%d]", i), compiler.CompileCELExpression(&accessor, options, environment.NewExpressions))
	}
	for i, variable := range policy.Spec.Variables {
		accessor := &validating.Variable{Name: variable.Name, Expression: variable.Expression}
		compiled(fmt.Sprintf("variables[%d]", i), compiler.CompileAndStoreVariable(accessor, options, environment.NewExpressions))
	}
	for i, one := range policy.Spec.Validations {
		accessor := &validating.ValidationCondition{Expression: one.Expression, Message: one.Message, Reason: one.Reason}
		compiled(fmt.Sprintf("validations[%d]", i), compiler.CompileCELExpression(accessor, options, environment.NewExpressions))
	}
	return wrong
}
