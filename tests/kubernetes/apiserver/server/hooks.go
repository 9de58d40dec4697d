// SPDX-License-Identifier: Apache-2.0
package main

import (
	"context"
	"net"
	"reflect"
	"time"

	admissionregistration "k8s.io/api/admissionregistration/v1"
	core "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	"k8s.io/apiserver/pkg/apis/flowcontrol/bootstrap"
	"k8s.io/apiserver/pkg/cel/openapi/resolver"
	genericserver "k8s.io/apiserver/pkg/server"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/restmapper"
	"k8s.io/klog/v2"
)

func addHooks(server *genericserver.GenericAPIServer, o options, client kubernetes.Interface, shared informers.SharedInformerFactory) error {
	if err := server.AddPostStartHook("bootstrap", func(hook genericserver.PostStartHookContext) error {
		return wait.PollUntilContextTimeout(hook, 100*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
			if err := bootstrapObjects(ctx, o, client); err != nil {
				klog.InfoS("bootstrap: once more", "err", err)
				return false, nil
			}
			return true, nil
		})
	}); err != nil {
		return err
	}
	if err := server.AddPostStartHook("check-types-of-policies", func(hook genericserver.PostStartHookContext) error {
		go wait.UntilWithContext(hook, func(ctx context.Context) { checkTypes(ctx, client, shared) }, time.Second)
		return nil
	}); err != nil {
		return err
	}
	// As kube-apiserver: an only server leaves the EndpointSlice empty when it stops.
	return server.AddPreShutdownHook("leave-endpoints", func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		return putEndpoints(ctx, client, nil, o.port)
	})
}

func bootstrapObjects(ctx context.Context, o options, client kubernetes.Interface) error {
	options := metav1.CreateOptions{}
	there := func(err error) error {
		if apierrors.IsAlreadyExists(err) {
			return nil
		}
		return err
	}
	for _, name := range []string{"default", "kube-system", "kube-public", "kube-node-lease"} {
		_, err := client.CoreV1().Namespaces().Create(ctx, &core.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, options)
		if there(err) != nil {
			return err
		}
	}
	flows := client.FlowcontrolV1()
	for _, level := range append(bootstrap.MandatoryPriorityLevelConfigurations, bootstrap.SuggestedPriorityLevelConfigurations...) {
		if _, err := flows.PriorityLevelConfigurations().Create(ctx, level.DeepCopy(), options); there(err) != nil {
			return err
		}
	}
	for _, schema := range append(bootstrap.MandatoryFlowSchemas, bootstrap.SuggestedFlowSchemas...) {
		if _, err := flows.FlowSchemas().Create(ctx, schema.DeepCopy(), options); there(err) != nil {
			return err
		}
	}
	return putEndpoints(ctx, client, []string{o.advertise}, o.port)
}

// The EndpointSlice `kubernetes`: one of the family of the advertised address.
func putEndpoints(ctx context.Context, client kubernetes.Interface, addresses []string, port int) error {
	slices := client.DiscoveryV1().EndpointSlices("default")
	name, protocol, number, ready := "https", core.ProtocolTCP, int32(port), true
	slice := &discovery.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Name: "kubernetes", Labels: map[string]string{"kubernetes.io/service-name": "kubernetes"}},
		AddressType: discovery.AddressTypeIPv4,
		Endpoints:   []discovery.Endpoint{},
		Ports:       []discovery.EndpointPort{{Name: &name, Protocol: &protocol, Port: &number}},
	}
	for _, address := range addresses {
		if net.ParseIP(address).To4() == nil {
			slice.AddressType = discovery.AddressTypeIPv6
		}
		slice.Endpoints = append(slice.Endpoints, discovery.Endpoint{
			Addresses: []string{address}, Conditions: discovery.EndpointConditions{Ready: &ready},
		})
	}
	before, err := slices.Get(ctx, "kubernetes", metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		_, err = slices.Create(ctx, slice, metav1.CreateOptions{})
		return err
	}
	if err != nil {
		return err
	}
	if before.AddressType != slice.AddressType && len(addresses) > 0 {
		if err := slices.Delete(ctx, "kubernetes", metav1.DeleteOptions{}); err != nil {
			return err
		}
		_, err = slices.Create(ctx, slice, metav1.CreateOptions{})
		return err
	}
	if equality.Semantic.DeepEqual(before.Endpoints, slice.Endpoints) && reflect.DeepEqual(before.Ports, slice.Ports) {
		return nil
	}
	before.Endpoints, before.Ports = slice.Endpoints, slice.Ports
	_, err = slices.Update(ctx, before, metav1.UpdateOptions{})
	return err
}

// What kube-controller-manager's validatingadmissionpolicy-status-controller does, with the same checker.
func checkTypes(ctx context.Context, client kubernetes.Interface, shared informers.SharedInformerFactory) {
	policies, err := shared.Admissionregistration().V1().ValidatingAdmissionPolicies().Lister().List(labels.Everything())
	if err != nil {
		return
	}
	for _, policy := range policies {
		if policy.Status.ObservedGeneration == policy.Generation && policy.Status.TypeChecking != nil {
			continue
		}
		cached := memory.NewMemCacheClient(client.Discovery())
		checker := validating.TypeChecker{
			SchemaResolver: &resolver.ClientDiscoveryResolver{Discovery: client.Discovery()},
			RestMapper:     restmapper.NewDeferredDiscoveryRESTMapper(cached),
		}
		changed := policy.DeepCopy()
		changed.Status.ObservedGeneration = policy.Generation
		changed.Status.TypeChecking = &admissionregistration.TypeChecking{ExpressionWarnings: checker.Check(policy)}
		if _, err := client.AdmissionregistrationV1().ValidatingAdmissionPolicies().UpdateStatus(ctx, changed, metav1.UpdateOptions{}); err != nil {
			klog.InfoS("types of a policy: once more", "policy", policy.Name, "err", err)
		}
	}
}
