// Command operator serves the kind Site from inside the cluster, with the rights of its Pod's account.
//
// It compares and acts as site_operator.py of module 16 does, and fills in the same two manifests. It needs
// nothing but Go's own library: the API server is an HTTPS server.
package main

import (
	"context"
	"errors"
	"flag"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"
)

const (
	// again is how long to wait after an error, and how long at most without any change.
	soon  = 2 * time.Second
	again = 30 * time.Second
)

func main() {
	log.SetFlags(0)
	log.SetOutput(os.Stdout)
	manifests := flag.String("manifests", "/manifests", "`DIRECTORY` with site-deployment.yaml and site-service.yaml")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	api, err := inCluster()
	if err != nil {
		log.Fatalf("this is no Pod with an account: %v", err)
	}
	serve(ctx, &operator{api: api, manifests: *manifests})
}

// serve compares and acts whenever something has changed, and now and then in any case.
func serve(ctx context.Context, o *operator) {
	log.Printf("serving the sites of namespace %s", o.api.namespace)
	changed := make(chan struct{}, 1)
	go follow(ctx, o.api, o.api.sites(""), changed)
	go follow(ctx, o.api, o.api.deployments("")+"?labelSelector=site", changed)
	for ctx.Err() == nil {
		pause := again
		if err := o.reconcileAll(ctx); err != nil && ctx.Err() == nil {
			pause = soon
			o.say("", err.Error())
		}
		select {
		case <-changed:
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}

// follow tells of each change of some objects. One that is missed does no harm: whoever is told looks at everything.
func follow(ctx context.Context, api *api, path string, changed chan<- struct{}) {
	for ctx.Err() == nil {
		err := api.watch(ctx, path, func() {
			select {
			case changed <- struct{}{}:
			default: // somebody has been told and has not looked yet
			}
		})
		if err != nil && !errors.Is(err, context.Canceled) {
			select {
			case <-time.After(soon):
			case <-ctx.Done():
			}
		}
	}
}
