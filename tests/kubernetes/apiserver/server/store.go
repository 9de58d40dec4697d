// SPDX-License-Identifier: Apache-2.0
package main

import (
	"context"
	"reflect"

	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage/names"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// Creation and change of any resource. Of a change, one side counts: the status on the subresource, else the rest.
type strategy struct {
	runtime.ObjectTyper
	names.NameGenerator
	resource resource
	onStatus bool
}

func (s strategy) NamespaceScoped() bool                                     { return s.resource.namespaced }
func (s strategy) AllowCreateOnUpdate() bool                                 { return false }
func (s strategy) AllowUnconditionalUpdate() bool                            { return true }
func (s strategy) Canonicalize(runtime.Object)                               {}
func (s strategy) WarningsOnCreate(context.Context, runtime.Object) []string { return nil }
func (s strategy) WarningsOnUpdate(context.Context, runtime.Object, runtime.Object) []string {
	return nil
}

func (s strategy) PrepareForCreate(_ context.Context, object runtime.Object) {
	if accessor, err := meta.Accessor(object); err == nil {
		accessor.SetGeneration(1)
	}
	if namespace, ok := object.(*core.Namespace); ok {
		namespace.Status.Phase = core.NamespaceActive
	}
}

func (s strategy) PrepareForUpdate(_ context.Context, object, old runtime.Object) {
	if !s.resource.status {
		return
	}
	from, to := reflect.ValueOf(old).Elem(), reflect.ValueOf(object).Elem()
	if s.onStatus {
		to.FieldByName("Spec").Set(from.FieldByName("Spec"))
		return
	}
	to.FieldByName("Status").Set(from.FieldByName("Status"))
	if !reflect.DeepEqual(from.FieldByName("Spec").Interface(), to.FieldByName("Spec").Interface()) {
		before, _ := meta.Accessor(old)
		after, _ := meta.Accessor(object)
		after.SetGeneration(before.GetGeneration() + 1)
	}
}

func (s strategy) Validate(_ context.Context, object runtime.Object) field.ErrorList {
	accessor, err := meta.Accessor(object)
	if err != nil {
		return field.ErrorList{field.InternalError(nil, err)}
	}
	name := apivalidation.NameIsDNSSubdomain
	if s.resource.group.Group == "rbac.authorization.k8s.io" {
		name = func(string, bool) []string { return nil } // any path segment
	}
	errors := apivalidation.ValidateObjectMetaAccessor(accessor, s.resource.namespaced, name, field.NewPath("metadata"))
	if s.resource.validate != nil {
		errors = append(errors, invalid(s.resource.validate(object))...)
	}
	return errors
}

func (s strategy) ValidateUpdate(ctx context.Context, object, old runtime.Object) field.ErrorList {
	after, err := meta.Accessor(object)
	if err != nil {
		return field.ErrorList{field.InternalError(nil, err)}
	}
	before, err := meta.Accessor(old)
	if err != nil {
		return field.ErrorList{field.InternalError(nil, err)}
	}
	errors := apivalidation.ValidateObjectMetaAccessorUpdate(after, before, field.NewPath("metadata"))
	errors = append(errors, s.Validate(ctx, object)...)
	if s.resource.validateUpdate != nil {
		errors = append(errors, invalid(s.resource.validateUpdate(object, old))...)
	}
	return errors
}

func invalid(messages []string) field.ErrorList {
	var errors field.ErrorList
	for _, message := range messages {
		errors = append(errors, field.Forbidden(nil, message))
	}
	return errors
}

// Server-side apply doesn't take ownership of what is put back.
func (s strategy) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	path := "status"
	if s.onStatus {
		path = "spec"
	}
	if !s.resource.status {
		return nil
	}
	return map[fieldpath.APIVersion]*fieldpath.Set{
		fieldpath.APIVersion(s.resource.group.String()): fieldpath.NewSet(fieldpath.MakePathOrDie(path)),
	}
}

// What kubectl gets short names from, and the status subresource.
type store struct {
	*registry.Store
	short []string
}

func (s store) ShortNames() []string { return s.short }

type statusStore struct{ store *registry.Store }

func (s statusStore) New() runtime.Object { return s.store.New() }
func (s statusStore) Destroy()            {}
func (s statusStore) Get(ctx context.Context, name string, options *metav1.GetOptions) (runtime.Object, error) {
	return s.store.Get(ctx, name, options)
}
func (s statusStore) Update(ctx context.Context, name string, info rest.UpdatedObjectInfo,
	create rest.ValidateObjectFunc, update rest.ValidateObjectUpdateFunc, _ bool, options *metav1.UpdateOptions,
) (runtime.Object, bool, error) {
	return s.store.Update(ctx, name, info, create, update, false, options)
}
func (s statusStore) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return s.store.GetResetFields()
}
func (s statusStore) ConvertToTable(ctx context.Context, object, options runtime.Object) (*metav1.Table, error) {
	return s.store.ConvertToTable(ctx, object, options)
}

func newStore(r resource, getter generic.RESTOptionsGetter) (*registry.Store, error) {
	made := func(object runtime.Object) func() runtime.Object {
		return func() runtime.Object { return reflect.New(reflect.TypeOf(object).Elem()).Interface().(runtime.Object) }
	}
	plan := strategy{ObjectTyper: scheme, NameGenerator: names.SimpleNameGenerator, resource: r}
	name := r.group.WithResource(r.name).GroupResource()
	single := r.group.WithResource(r.singular).GroupResource()
	out := &registry.Store{
		NewFunc:                   made(r.object),
		NewListFunc:               made(r.list),
		DefaultQualifiedResource:  name,
		SingularQualifiedResource: single,
		CreateStrategy:            plan,
		UpdateStrategy:            plan,
		DeleteStrategy:            plan,
		ResetFieldsStrategy:       plan,
		TableConvertor:            rest.NewDefaultTableConvertor(name),
	}
	if r.ttl != 0 {
		out.TTLFunc = func(runtime.Object, uint64, bool) (uint64, error) { return r.ttl, nil }
	}
	return out, out.CompleteWithOptions(&generic.StoreOptions{RESTOptions: getter})
}

func statusOf(r resource, whole *registry.Store) statusStore {
	part := *whole
	plan := strategy{ObjectTyper: scheme, NameGenerator: names.SimpleNameGenerator, resource: r, onStatus: true}
	part.UpdateStrategy, part.ResetFieldsStrategy = plan, plan
	return statusStore{&part}
}
