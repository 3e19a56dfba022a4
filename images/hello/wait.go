package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"
)

func wait(ctx context.Context, args []string) error {
	flags := newFlags("wait")
	url := flags.String("url", "", "`URL` that must answer below 400 (HELLO_URL)")
	tcp := flags.String("tcp", "", "`HOST:PORT` that must accept a connection (HELLO_TCP)")
	timeout := flags.Duration("timeout", 2*time.Minute, "give up after this time (HELLO_TIMEOUT)")
	every := flags.Duration("every", 500*time.Millisecond, "time between two attempts (HELLO_EVERY)")
	if err := parse(flags, args, 0, 0); err != nil {
		return err
	}
	var target string
	var attempt func(context.Context) string
	switch {
	case (*url == "") == (*tcp == ""):
		return usageError("wait: give either --url or --tcp")
	case *url != "":
		target = withScheme(*url)
		attempt = func(ctx context.Context) string { return tryURL(ctx, target) }
	default:
		target = *tcp
		attempt = func(ctx context.Context) string { return tryTCP(ctx, target) }
	}
	ctx, cancel := context.WithTimeout(ctx, *timeout)
	defer cancel()
	return waitFor(ctx, target, attempt, *every)
}

// waitFor repeats the attempt until it finds nothing wrong. It prints only what changes.
func waitFor(ctx context.Context, target string, attempt func(context.Context) string, every time.Duration) error {
	begin, last := time.Now(), ""
	for {
		wrong := attempt(ctx)
		if wrong == "" {
			fmt.Printf("%s answers after %.1f s\n", target, time.Since(begin).Seconds())
			return nil
		}
		if ctx.Err() != nil && last != "" {
			wrong = last // what the deadline cut off has found nothing
		}
		if ctx.Err() != nil || !pause(ctx, every) {
			return fmt.Errorf("wait: no answer from %s within %.1f s: %s", target, time.Since(begin).Seconds(), wrong)
		}
		if wrong != last {
			fmt.Printf("waiting for %s: %s\n", target, wrong)
			last = wrong
		}
	}
}

func tryURL(ctx context.Context, url string) string {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err.Error()
	}
	response, err := newClient(2 * time.Second).Do(request)
	if err != nil {
		return reason(err)
	}
	response.Body.Close()
	if response.StatusCode >= http.StatusBadRequest {
		return response.Status
	}
	return ""
}

func tryTCP(ctx context.Context, address string) string {
	dialer := net.Dialer{Timeout: 2 * time.Second}
	connection, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return reason(err)
	}
	connection.Close()
	return ""
}
