package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"syscall"
	"time"
)

// newClient returns a client that opens a new connection for each request, as Services spread
// connections and not requests over Pods, and that follows no redirect.
func newClient(timeout time.Duration) *http.Client {
	return &http.Client{
		Timeout:   timeout,
		Transport: &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		},
	}
}

// reason says in few words why there was no answer, without addresses, so that reasons can be counted.
func reason(err error) string {
	var timeout interface{ Timeout() bool }
	var unknown *net.DNSError
	var asked *url.Error
	switch {
	case errors.As(err, &unknown) && unknown.IsNotFound:
		return "name not found"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "timeout"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, syscall.ECONNRESET):
		return "connection reset"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "no route"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "connection closed"
	case errors.As(err, &asked):
		return asked.Err.Error()
	}
	return err.Error()
}

// pause waits; it returns false if the context ended first.
func pause(ctx context.Context, amount time.Duration) bool {
	timer := time.NewTimer(amount)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
