// SPDX-License-Identifier: Apache-2.0
package main

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	authentication "k8s.io/api/authentication/v1"
	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
)

type reference struct {
	Name string    `json:"name"`
	UID  types.UID `json:"uid,omitempty"`
}

type bound struct {
	Namespace string     `json:"namespace"`
	Account   reference  `json:"serviceaccount"`
	Pod       *reference `json:"pod,omitempty"`
	Node      *reference `json:"node,omitempty"`
}

// Those of a service account's bound token, as Kubernetes documents them.
type claims struct {
	Issuer     string   `json:"iss"`
	Subject    string   `json:"sub"`
	Audience   []string `json:"aud"`
	Expires    int64    `json:"exp"`
	IssuedAt   int64    `json:"iat"`
	NotBefore  int64    `json:"nbf"`
	ID         string   `json:"jti"`
	Kubernetes bound    `json:"kubernetes.io"`
}

type tokens struct {
	key                   *rsa.PrivateKey
	issuer                string
	longest               time.Duration
	accounts, pods, nodes *registry.Store
}

func (t *tokens) sign(c claims) (string, error) {
	body, err := json.Marshal(c)
	if err != nil {
		return "", err
	}
	encode := base64.RawURLEncoding.EncodeToString
	signed := encode([]byte(`{"alg":"RS256","typ":"JWT"}`)) + "." + encode(body)
	sum := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(rand.Reader, t.key, crypto.SHA256, sum[:])
	return signed + "." + encode(signature), err
}

func (t *tokens) verify(token string) (claims, error) {
	var c claims
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return c, errors.New("no JSON web token")
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		return c, err
	}
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if err := rsa.VerifyPKCS1v15(&t.key.PublicKey, crypto.SHA256, sum[:], signature); err != nil {
		return c, err
	}
	body, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return c, err
	}
	return c, json.Unmarshal(body, &c)
}

func find[T any](ctx context.Context, store *registry.Store, namespace, name string) (*T, error) {
	object, err := store.Get(request.WithNamespace(ctx, namespace), name, &metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	return any(object).(*T), nil
}

// A token ends with its time, its account, and the pod that it is bound to.
func (t *tokens) AuthenticateToken(ctx context.Context, token string) (*authenticator.Response, bool, error) {
	c, err := t.verify(token)
	if err != nil {
		return nil, false, err
	}
	now := time.Now().Unix()
	if c.Issuer != t.issuer || !slices.Contains(c.Audience, t.issuer) || now > c.Expires || now < c.NotBefore-60 {
		return nil, false, errors.New("the token has expired, or is another server's")
	}
	b := c.Kubernetes
	account, err := find[core.ServiceAccount](ctx, t.accounts, b.Namespace, b.Account.Name)
	if err != nil || account.UID != b.Account.UID {
		return nil, false, errors.New("the service account is gone")
	}
	extra := map[string][]string{"authentication.kubernetes.io/credential-id": {"JTI=" + c.ID}}
	if b.Pod != nil {
		pod, err := find[core.Pod](ctx, t.pods, b.Namespace, b.Pod.Name)
		if err != nil || pod.UID != b.Pod.UID {
			return nil, false, errors.New("the pod is gone")
		}
		extra[serviceaccount.PodNameKey] = []string{b.Pod.Name}
		extra[serviceaccount.PodUIDKey] = []string{string(b.Pod.UID)}
	}
	if b.Node != nil {
		extra[serviceaccount.NodeNameKey] = []string{b.Node.Name}
		if b.Node.UID != "" {
			extra[serviceaccount.NodeUIDKey] = []string{string(b.Node.UID)}
		}
	}
	return &authenticator.Response{User: &user.DefaultInfo{
		Name: serviceaccount.MakeUsername(b.Namespace, b.Account.Name), UID: string(account.UID),
		Groups: []string{
			serviceaccount.AllServiceAccountsGroup, serviceaccount.ServiceAccountGroupPrefix + b.Namespace,
			user.AllAuthenticated,
		},
		Extra: extra,
	}}, true, nil
}

// The subresource `token` of service accounts.
type tokenStore struct{ tokens *tokens }

func (s tokenStore) New() runtime.Object { return &authentication.TokenRequest{} }
func (s tokenStore) Destroy()            {}
func (s tokenStore) GroupVersionKind(schema.GroupVersion) schema.GroupVersionKind {
	return authentication.SchemeGroupVersion.WithKind("TokenRequest")
}

func (s tokenStore) Create(ctx context.Context, name string, object runtime.Object, _ rest.ValidateObjectFunc,
	_ *metav1.CreateOptions,
) (runtime.Object, error) {
	asked := object.(*authentication.TokenRequest)
	namespace := request.NamespaceValue(ctx)
	account, err := find[core.ServiceAccount](ctx, s.tokens.accounts, namespace, name)
	if err != nil {
		return nil, err
	}
	seconds := int64(3600)
	if asked.Spec.ExpirationSeconds != nil {
		seconds = *asked.Spec.ExpirationSeconds
	}
	if seconds < 600 {
		return nil, apierrors.NewBadRequest("may not specify a duration less than 10 minutes")
	}
	if longest := int64(s.tokens.longest.Seconds()); longest > 0 && seconds > longest {
		seconds = longest
	}
	b := bound{Namespace: namespace, Account: reference{account.Name, account.UID}}
	if err := s.bind(ctx, asked.Spec.BoundObjectRef, account, &b); err != nil {
		return nil, err
	}
	audience := asked.Spec.Audiences
	if len(audience) == 0 {
		audience = []string{s.tokens.issuer}
	}
	now := time.Now()
	c := claims{
		Issuer: s.tokens.issuer, Subject: serviceaccount.MakeUsername(namespace, name), Audience: audience,
		Expires: now.Unix() + seconds, IssuedAt: now.Unix(), NotBefore: now.Unix(), ID: uuid.NewString(), Kubernetes: b,
	}
	text, err := s.tokens.sign(c)
	if err != nil {
		return nil, err
	}
	out := asked.DeepCopy()
	out.Spec.Audiences, out.Spec.ExpirationSeconds = audience, &seconds
	out.Status = authentication.TokenRequestStatus{Token: text, ExpirationTimestamp: metav1.Unix(c.Expires, 0)}
	return out, nil
}

func (s tokenStore) bind(ctx context.Context, to *authentication.BoundObjectReference, account *core.ServiceAccount, b *bound) error {
	if to == nil {
		return nil
	}
	if to.Kind != "Pod" || to.APIVersion != "v1" {
		return apierrors.NewBadRequest(fmt.Sprintf("cannot bind token for serviceaccount to type %s", to.Kind))
	}
	pod, err := find[core.Pod](ctx, s.tokens.pods, account.Namespace, to.Name)
	if err != nil {
		return err
	}
	if to.UID != "" && to.UID != pod.UID {
		return apierrors.NewConflict(schema.GroupResource{Resource: "pods"}, to.Name, errors.New("the UID in the bound object reference does not match"))
	}
	if pod.Spec.ServiceAccountName != account.Name {
		return apierrors.NewBadRequest(fmt.Sprintf("cannot bind token for serviceaccount %q to pod running with different serviceaccount name", account.Name))
	}
	b.Pod = &reference{pod.Name, pod.UID}
	if pod.Spec.NodeName == "" {
		return nil
	}
	b.Node = &reference{Name: pod.Spec.NodeName}
	if node, err := find[core.Node](ctx, s.tokens.nodes, "", pod.Spec.NodeName); err == nil {
		b.Node.UID = node.UID
	}
	return nil
}
