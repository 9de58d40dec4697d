// SPDX-License-Identifier: Apache-2.0
package main

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net"
	"os"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/namespace/lifecycle"
	validatingpolicy "k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	apiserver "k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/group"
	"k8s.io/apiserver/pkg/authentication/request/anonymous"
	"k8s.io/apiserver/pkg/authentication/request/bearertoken"
	"k8s.io/apiserver/pkg/authentication/request/union"
	x509request "k8s.io/apiserver/pkg/authentication/request/x509"
	tokencache "k8s.io/apiserver/pkg/authentication/token/cache"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	authorizerunion "k8s.io/apiserver/pkg/authorization/union"
	apiopenapi "k8s.io/apiserver/pkg/endpoints/openapi"
	"k8s.io/apiserver/pkg/registry/rest"
	genericserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	genericoptions "k8s.io/apiserver/pkg/server/options"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/util/compatibility"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/klog/v2"
	openapicommon "k8s.io/kube-openapi/pkg/common"

	"wglan/openapi"
)

func newServer(o options) (*genericserver.GenericAPIServer, error) {
	key, err := readKey(o.accountKey)
	if err != nil {
		return nil, err
	}
	signer := &tokens{key: key, issuer: o.issuer, longest: o.maxTokenExpiration}
	config := genericserver.NewConfig(codecs)
	config.EffectiveVersion = compatibility.DefaultBuildEffectiveVersion()
	config.MaxRequestsInFlight, config.MaxMutatingRequestsInFlight = o.maxReads, o.maxWrites
	config.ShutdownDelayDuration = o.shutdownDelay
	config.ShutdownWatchTerminationGracePeriod = o.shutdownWatches
	namer := apiopenapi.NewDefinitionNamer(scheme)
	definitions := openapicommon.GetOpenAPIDefinitions(openapi.GetOpenAPIDefinitions)
	config.OpenAPIConfig = genericserver.DefaultOpenAPIConfig(definitions, namer)
	config.OpenAPIV3Config = genericserver.DefaultOpenAPIV3Config(definitions, namer)

	serving := genericoptions.NewSecureServingOptions().WithLoopback()
	serving.BindAddress, serving.BindPort = net.ParseIP(o.address), o.port
	serving.ServerCert.CertKey = genericoptions.CertKey{CertFile: o.certificate, KeyFile: o.key}
	if err := serving.ApplyToConfig(config); err != nil {
		return nil, err
	}
	if err := storage(o).ApplyTo(config); err != nil {
		return nil, err
	}
	client, err := kubernetes.NewForConfig(config.LoopbackClientConfig)
	if err != nil {
		return nil, err
	}
	shared := informers.NewSharedInformerFactory(client, 10*time.Minute)
	if err := secure(config, o, signer, shared); err != nil {
		return nil, err
	}
	if err := admit(config, client, shared); err != nil {
		return nil, err
	}
	features := genericoptions.NewFeatureOptions()
	features.EnablePriorityAndFairness = o.fairness
	if err := features.ApplyTo(config, client, shared); err != nil {
		return nil, err
	}
	server, err := config.Complete(shared).New("kube-apiserver", genericserver.NewEmptyDelegate())
	if err != nil {
		return nil, err
	}
	if err := install(server, config, signer); err != nil {
		return nil, err
	}
	return server, addHooks(server, o, client, shared)
}

func readKey(path string) (*rsa.PrivateKey, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New(path + ": no PEM")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	key, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return nil, errors.New(path + ": no RSA key")
	}
	return key, nil
}

func storage(o options) *genericoptions.EtcdOptions {
	out := genericoptions.NewEtcdOptions(storagebackend.NewDefaultConfig("/registry", codecs.LegacyCodec(versions()...)))
	out.StorageConfig.Transport.ServerList = o.etcd
	out.StorageConfig.CompactionInterval = o.compaction
	return out
}

// Client certificates, tokens of service accounts, anonymous; RBAC, and system:masters who may do everything.
func secure(config *genericserver.Config, o options, signer *tokens, shared informers.SharedInformerFactory) error {
	authority, err := dynamiccertificates.NewDynamicCAContentFromFile("client-ca", o.clientCA)
	if err != nil {
		return err
	}
	if err := config.Authentication.ApplyClientCert(authority, config.SecureServing); err != nil {
		return err
	}
	// As kube-apiserver: a good answer holds for 10 s, a bad one not at all.
	cached := tokencache.New(signer, false, 10*time.Second, 0)
	config.Authentication.APIAudiences = authenticator.Audiences{o.issuer}
	config.Authentication.Authenticator = union.NewFailOnError(
		group.NewAuthenticatedGroupAdder(union.New(
			x509request.NewDynamic(authority.VerifyOptions, x509request.CommonNameUserConversion),
			bearertoken.New(cached))),
		anonymous.NewAuthenticator([]apiserver.AnonymousAuthCondition{}))
	access := shared.Rbac().V1()
	config.Authorization.Authorizer = authorizerunion.New(
		authorizerfactory.NewPrivilegedGroups(user.SystemPrivilegedGroup),
		roleAuthorizer{
			access.Roles().Lister(), access.RoleBindings().Lister(), access.ClusterRoles().Lister(), access.ClusterRoleBindings().Lister(),
		})
	return nil
}

func admit(config *genericserver.Config, client kubernetes.Interface, shared informers.SharedInformerFactory) error {
	plain, err := dynamic.NewForConfig(config.LoopbackClientConfig)
	if err != nil {
		return err
	}
	plugins := admission.NewPlugins()
	lifecycle.Register(plugins)
	validatingpolicy.Register(plugins)
	options := genericoptions.AdmissionOptions{
		Plugins:                plugins,
		RecommendedPluginOrder: []string{lifecycle.PluginName, validatingpolicy.PluginName},
		Decorators:             nil,
	}
	return options.ApplyTo(config, shared, client, plain, utilfeature.DefaultFeatureGate, config.EffectiveVersion)
}

func install(server *genericserver.GenericAPIServer, config *genericserver.Config, signer *tokens) error {
	groups := map[string]*genericserver.APIGroupInfo{}
	for _, r := range resources {
		info := groups[r.group.Group]
		if info == nil {
			made := genericserver.NewDefaultAPIGroupInfo(r.group.Group, scheme, metav1.ParameterCodec, codecs)
			made.PrioritizedVersions = []schema.GroupVersion{r.group}
			made.VersionedResourcesStorageMap = map[string]map[string]rest.Storage{r.group.Version: {}}
			info = &made
			groups[r.group.Group] = info
		}
		whole, err := newStore(r, config.RESTOptionsGetter)
		if err != nil {
			return err
		}
		served := info.VersionedResourcesStorageMap[r.group.Version]
		served[r.name] = store{whole, r.short}
		if r.status {
			served[r.name+"/status"] = statusOf(r, whole)
		}
		switch r.name {
		case "serviceaccounts":
			signer.accounts = whole
			served["serviceaccounts/token"] = tokenStore{signer}
		case "pods":
			signer.pods = whole
		case "nodes":
			signer.nodes = whole
		}
	}
	for name, info := range groups {
		var err error
		if name == "" {
			err = server.InstallLegacyAPIGroup(genericserver.DefaultLegacyAPIPrefix, info)
		} else {
			err = server.InstallAPIGroup(info)
		}
		if err != nil {
			return err
		}
	}
	klog.InfoS("installed", "groups", len(groups), "resources", len(resources))
	return nil
}
