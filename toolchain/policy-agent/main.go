// Policy-agent makes the kernel of its node keep the rules of NetworkPolicies.
//
// It runs on every node. It watches Pods, namespaces and policies, works out for each Pod of its node who may reach
// it and whom it may reach (policy.go), and writes that as a table of nftables (kernel.go), in one step each time.
// The kernel then drops what no policy allows. It is our own, small and for teaching: IPv4 only, and a new Pod is
// without rules for the moment until its address is known here.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"reflect"
	"syscall"
	"time"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

// Changes often come several at a time, as when a Deployment is scaled.
const together = 20 * time.Millisecond

const retryAfter = time.Second

func main() {
	log.SetFlags(0)
	node := flag.String("node", os.Getenv("NODE_NAME"), "the node's name")
	ready := flag.String("ready", "/tmp/ready", "file that exists once the rules are in the kernel")
	isReady := flag.Bool("is-ready", false, "only tell whether that file exists")
	flag.Parse()
	if *isReady {
		_, err := os.Stat(*ready)
		check(err)
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := probeQueue(); err != nil {
		log.Printf("this kernel has no nfqueue (%v): kube-network-policies could not run here", err)
	} else {
		log.Print("this kernel has nfqueue: kube-network-policies could run here in the place of this agent")
	}
	check(run(ctx, *node, *ready))
	check(removeTable()) // whoever ends the agent wants no rules that nobody keeps up to date
}

func run(ctx context.Context, node, ready string) error {
	config, err := rest.InClusterConfig()
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	factory := informers.NewSharedInformerFactory(client, 0)
	pods := factory.Core().V1().Pods()
	namespaces := factory.Core().V1().Namespaces()
	policies := factory.Networking().V1().NetworkPolicies()
	changed := make(chan struct{}, 1)
	for _, informer := range []cache.SharedIndexInformer{pods.Informer(), namespaces.Informer(), policies.Informer()} {
		if _, err := informer.AddEventHandler(noting(changed)); err != nil {
			return err
		}
	}
	factory.Start(ctx.Done())
	for kind, synced := range factory.WaitForCacheSync(ctx.Done()) {
		if !synced {
			return fmt.Errorf("%v cannot be listed", kind)
		}
	}
	var applied []chain
	for first := true; ; first = false {
		var seen world
		if seen.pods, err = pods.Lister().List(labels.Everything()); err != nil {
			return err
		}
		if seen.namespaces, err = namespaces.Lister().List(labels.Everything()); err != nil {
			return err
		}
		if seen.policies, err = policies.Lister().List(labels.Everything()); err != nil {
			return err
		}
		wanted := compile(seen, node)
		if first || !reflect.DeepEqual(wanted, applied) { // an unchanged table keeps its counters
			if err := writeTable(wanted); err != nil {
				log.Printf("the kernel refuses the rules: %v", err)
				time.AfterFunc(retryAfter, func() { note(changed) })
			} else {
				applied = wanted
				log.Printf("%d chains in the kernel", len(wanted))
				if err := os.WriteFile(ready, nil, 0o600); err != nil {
					return err
				}
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
			time.Sleep(together)
		}
	}
}

func noting(changed chan struct{}) cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { note(changed) },
		UpdateFunc: func(any, any) { note(changed) },
		DeleteFunc: func(any) { note(changed) },
	}
}

func note(changed chan struct{}) {
	select {
	case changed <- struct{}{}:
	default:
	}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
