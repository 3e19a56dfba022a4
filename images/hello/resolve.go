package main

import (
	"context"
	"fmt"
	"net"
	"slices"
	"time"
)

// resolve looks a name up as the cluster's DNS sees it: with the search list of /etc/resolv.conf.
func resolve(ctx context.Context, args []string) error {
	flags := newFlags("resolve NAME")
	services := flags.Bool("srv", false, "print ports and hosts (SRV records)")
	timeout := flags.Duration("timeout", 5*time.Second, "how long it may take")
	if err := parse(flags, args, 1, 1); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, *timeout)
	defer cancel()
	lookup := addresses
	if *services {
		lookup = targets
	}
	found, err := lookup(ctx, flags.Arg(0))
	if err != nil {
		return fmt.Errorf("resolve %s: %s", flags.Arg(0), reason(err))
	}
	slices.Sort(found)
	for _, line := range found {
		fmt.Println(line)
	}
	return nil
}

func addresses(ctx context.Context, name string) ([]string, error) {
	return net.DefaultResolver.LookupHost(ctx, name)
}

func targets(ctx context.Context, name string) ([]string, error) {
	_, records, err := net.DefaultResolver.LookupSRV(ctx, "", "", name)
	var found []string
	for _, record := range records {
		found = append(found, fmt.Sprintf("%s:%d", record.Target, record.Port))
	}
	return found, err
}
