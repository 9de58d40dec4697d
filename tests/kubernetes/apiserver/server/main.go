// SPDX-License-Identifier: Apache-2.0

// An API server for tests, made of Kubernetes' own library: what k8s.io/apiserver does (lists, watches and their
// cache, patches, server-side apply, field validation, admission policies, priority and fairness, shutdown) is
// kube-apiserver's code. What kube-apiserver adds to it outside of that library (which Debian doesn't have) is
// here, in small: which resources there are, RBAC, service accounts' tokens, the Service and the EndpointSlice
// `kubernetes`.
package main

import (
	"fmt"
	"net"
	"os"
	"time"

	"github.com/spf13/pflag"
	genericserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/util/compatibility"
	"k8s.io/klog/v2"
)

// As those of kube-apiserver where they have its names.
type options struct {
	address, advertise             string
	port                           int
	etcd                           []string
	certificate, key, clientCA     string
	issuer, accountKey             string
	maxTokenExpiration             time.Duration
	compaction                     time.Duration
	maxReads, maxWrites            int
	fairness                       bool
	shutdownDelay, shutdownWatches time.Duration
}

func parse() options {
	var o options
	flags := pflag.NewFlagSet("apiserver", pflag.ExitOnError)
	flags.StringVar(&o.address, "bind-address", "::", "")
	flags.StringVar(&o.advertise, "advertise-address", "127.0.0.1", "in the EndpointSlice `kubernetes`")
	flags.IntVar(&o.port, "secure-port", 6443, "")
	flags.StringSliceVar(&o.etcd, "etcd-servers", nil, "")
	flags.StringVar(&o.certificate, "tls-cert-file", "", "")
	flags.StringVar(&o.key, "tls-private-key-file", "", "")
	flags.StringVar(&o.clientCA, "client-ca-file", "", "")
	flags.StringVar(&o.issuer, "service-account-issuer", "https://kubernetes.default.svc", "")
	flags.StringVar(&o.accountKey, "service-account-signing-key-file", "", "an RSA key; it also verifies")
	flags.DurationVar(&o.maxTokenExpiration, "service-account-max-token-expiration", 0, "")
	flags.DurationVar(&o.compaction, "etcd-compaction-interval", 5*time.Minute, "")
	flags.IntVar(&o.maxReads, "max-requests-inflight", 400, "")
	flags.IntVar(&o.maxWrites, "max-mutating-requests-inflight", 200, "")
	flags.BoolVar(&o.fairness, "enable-priority-and-fairness", true, "")
	flags.DurationVar(&o.shutdownDelay, "shutdown-delay-duration", 0, "")
	flags.DurationVar(&o.shutdownWatches, "shutdown-watch-termination-grace-period", 0, "")
	version := flags.Bool("version", false, "")
	if err := flags.Parse(os.Args[1:]); err != nil || len(flags.Args()) > 0 {
		fmt.Fprintln(os.Stderr, "apiserver: wrong arguments:", err, flags.Args())
		os.Exit(2)
	}
	if *version {
		fmt.Println(compatibility.DefaultBuildEffectiveVersion().Info())
		os.Exit(0)
	}
	if net.ParseIP(o.advertise) == nil || net.ParseIP(o.address) == nil {
		fmt.Fprintln(os.Stderr, "apiserver: --bind-address and --advertise-address are addresses")
		os.Exit(2)
	}
	return o
}

func main() {
	klog.LogToStderr(true)
	server, err := newServer(parse())
	if err == nil {
		err = server.PrepareRun().RunWithContext(genericserver.SetupSignalContext())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "apiserver:", err)
		os.Exit(1)
	}
}
