package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	account                              = "/var/run/secrets/kubernetes.io/serviceaccount"
	limit                                = 10 * time.Second
	jsonFormat, mergeFormat, applyFormat = "application/json", "application/merge-patch+json", "application/apply-patch+yaml"
)

// An api is the API server as the account of this Pod reaches it.
type api struct {
	url, namespace, token string // token is a file: the kubelet renews it
	client                *http.Client
}

// A refusal is an answer that is no success.
type refusal struct {
	status  int
	message string
}

func (r refusal) Error() string { return r.message }

func inCluster() (*api, error) {
	authority, err := os.ReadFile(filepath.Join(account, "ca.crt"))
	if err != nil {
		return nil, err
	}
	namespace, err := os.ReadFile(filepath.Join(account, "namespace"))
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(authority)
	host := net.JoinHostPort(os.Getenv("KUBERNETES_SERVICE_HOST"), os.Getenv("KUBERNETES_SERVICE_PORT"))
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}
	return &api{
		url:       "https://" + host,
		namespace: strings.TrimSpace(string(namespace)),
		token:     filepath.Join(account, "token"),
		client:    &http.Client{Transport: transport},
	}, nil
}

func (a *api) sites(name string) string {
	return "/apis/k8s101.test/v1/namespaces/" + a.namespace + "/sites" + name
}

func (a *api) deployments(name string) string {
	return "/apis/apps/v1/namespaces/" + a.namespace + "/deployments" + name
}

func (a *api) core(kind, name string) string {
	return "/api/v1/namespaces/" + a.namespace + "/" + kind + name
}

// call sends a request, decodes the answer unless there is nothing to put it into, and returns a refusal as an error.
func (a *api) call(ctx context.Context, method, path, format string, body []byte, into any) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	answer, err := a.send(ctx, method, path, format, body)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if into == nil {
		return nil
	}
	return json.NewDecoder(answer.Body).Decode(into)
}

// watch calls a function for each change of the objects at a path until the API server ends the connection.
func (a *api) watch(ctx context.Context, path string, changed func()) error {
	mark := "?"
	if strings.Contains(path, "?") {
		mark = "&"
	}
	answer, err := a.send(ctx, http.MethodGet, path+mark+"watch=true", "", nil)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	for lines := json.NewDecoder(answer.Body); ; changed() {
		if err := lines.Decode(new(json.RawMessage)); err != nil {
			return err
		}
	}
}

func (a *api) send(ctx context.Context, method, path, format string, body []byte) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, a.url+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	token, err := os.ReadFile(a.token)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	request.Header.Set("User-Agent", "site-operator")
	if format != "" {
		request.Header.Set("Content-Type", format)
	}
	answer, err := a.client.Do(request)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode < 300 {
		return answer, nil
	}
	defer answer.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(answer.Body, 1<<16))
	var told struct{ Message string }
	if json.Unmarshal(text, &told) != nil || told.Message == "" {
		told.Message = fmt.Sprintf("%s %s: %s", method, path, answer.Status)
	}
	return nil, refusal{answer.StatusCode, told.Message}
}
