package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"
)

// A call is one request and what to do with its answer.
type call struct {
	url       string
	method    string
	headers   list
	data      string
	include   bool
	fail      bool
	timeout   time.Duration
	caFile    string
	tokenFile string
	insecure  bool
}

func fetch(ctx context.Context, args []string) error {
	var c call
	flags := newFlags("fetch URL")
	flags.StringVar(&c.method, "method", "", "GET, POST … (default GET, with --data POST)")
	flags.Var(&c.headers, "header", "`'NAME: VALUE'`, may be repeated")
	flags.StringVar(&c.data, "data", "", "body to send")
	flags.BoolVar(&c.include, "include", false, "print status and headers, too")
	flags.BoolVar(&c.fail, "fail", false, "end with 1 if the answer is 400 or above")
	flags.DurationVar(&c.timeout, "timeout", 10*time.Second, "how long it may take")
	flags.StringVar(&c.caFile, "cacert", "", "`file` of the authority that signed the server's certificate")
	flags.StringVar(&c.tokenFile, "token-file", "", "`file` whose content is sent as bearer token")
	flags.BoolVar(&c.insecure, "insecure", false, "do not check the server's certificate")
	if err := parse(flags, args, 1, 1); err != nil {
		return err
	}
	c.url = withScheme(flags.Arg(0))
	return c.do(ctx, os.Stdout)
}

func (c call) do(ctx context.Context, out io.Writer) error {
	request, err := c.request(ctx)
	if err != nil {
		return err
	}
	client := newClient(c.timeout)
	if client.Transport.(*http.Transport).TLSClientConfig, err = c.tls(); err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("no answer from %s: %s", c.url, reason(err))
	}
	defer response.Body.Close()
	if c.include {
		printHead(out, response)
	}
	if _, err := io.Copy(out, response.Body); err != nil {
		return fmt.Errorf("the answer of %s broke off: %s", c.url, reason(err))
	}
	if c.fail && response.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("%s answered %s", c.url, response.Status)
	}
	return nil
}

func (c call) request(ctx context.Context) (*http.Request, error) {
	method := c.method
	if method == "" && c.data != "" {
		method = http.MethodPost
	}
	request, err := http.NewRequestWithContext(ctx, method, c.url, strings.NewReader(c.data))
	if err != nil {
		return nil, err
	}
	for _, header := range c.headers {
		name, value, found := strings.Cut(header, ":")
		if !found {
			return nil, usageError(fmt.Sprintf("header %q: expected 'NAME: VALUE'", header))
		}
		request.Header.Add(strings.TrimSpace(name), strings.TrimSpace(value))
	}
	if host := request.Header.Get("Host"); host != "" {
		request.Host = host
	}
	if c.tokenFile != "" {
		token, err := os.ReadFile(c.tokenFile)
		if err != nil {
			return nil, err
		}
		request.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	}
	return request, nil
}

func (c call) tls() (*tls.Config, error) {
	config := &tls.Config{InsecureSkipVerify: c.insecure}
	if c.caFile == "" {
		return config, nil
	}
	pem, err := os.ReadFile(c.caFile)
	if err != nil {
		return nil, err
	}
	config.RootCAs = x509.NewCertPool()
	if !config.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", c.caFile)
	}
	return config, nil
}

func printHead(out io.Writer, response *http.Response) {
	fmt.Fprintf(out, "%s %s\n", response.Proto, response.Status)
	for _, name := range slices.Sorted(maps.Keys(response.Header)) {
		for _, value := range response.Header[name] {
			fmt.Fprintf(out, "%s: %s\n", name, value)
		}
	}
	fmt.Fprintln(out)
}
