package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A server stands for the API server: it keeps what it is told and answers as the test wants.
type server struct {
	calls   []string
	bodies  map[string]string
	answers map[string]string // by method and path
	refused map[string]int
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	call := r.Method + " " + strings.TrimPrefix(r.URL.Path, "/")
	body, _ := io.ReadAll(r.Body)
	s.calls = append(s.calls, call)
	s.bodies[call] = string(body)
	if status := s.refused[call]; status != 0 {
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]string{"message": "you may not"})
		return
	}
	answer := s.answers[call]
	if answer == "" {
		answer = "{}"
	}
	_, _ = io.WriteString(w, answer)
}

const (
	sites   = "apis/k8s101.test/v1/namespaces/lesson/sites"
	deploys = "apis/apps/v1/namespaces/lesson/deployments"
	core    = "api/v1/namespaces/lesson/"
	site1   = `{"metadata": {"name": "shop", "uid": "u1", "generation": 3%s}, "spec": {"host": "shop.test", "replicas": 2, "more": true}}`
)

func start(t *testing.T, site string) (*operator, *server) {
	t.Helper()
	s := &server{bodies: map[string]string{}, refused: map[string]int{}, answers: map[string]string{
		"GET " + sites: `{"items": [` + site + `]}`,
	}}
	web := httptest.NewServer(s)
	t.Cleanup(web.Close)
	folder := t.TempDir()
	for name, text := range map[string]string{
		"token": "secret\n", "site-service.yaml": "{name: $name, uid: $uid, more: $more, other: $other}",
		"site-deployment.yaml": "{name: $name-x, replicas: $replicas}",
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	a := &api{url: web.URL, namespace: "lesson", token: filepath.Join(folder, "token"), client: web.Client()}
	return &operator{api: a, manifests: folder}, s
}

func deployed(generation, ready int) string {
	text, _ := json.Marshal(map[string]any{
		"metadata": map[string]any{"generation": 5},
		"status": map[string]any{
			"observedGeneration": generation, "replicas": 2, "updatedReplicas": 2, "readyReplicas": ready,
		},
	})
	return string(text)
}

func TestASiteGetsItsParts(t *testing.T) {
	o, s := start(t, strings.Replace(site1, "%s", "", 1))
	s.answers["PATCH "+deploys+"/shop"] = deployed(5, 1)
	s.refused["POST "+core+"secrets"] = http.StatusConflict // it exists already and stays
	if err := o.reconcileAll(context.Background()); err != nil {
		t.Fatal(err)
	}
	if got := s.bodies["PATCH "+core+"services/shop"]; got != "{name: shop, uid: u1, more: true, other: $other}" {
		t.Error(got)
	}
	if got := s.bodies["PATCH "+deploys+"/shop"]; got != "{name: shop-x, replicas: 2}" {
		t.Error(got)
	}
	if got := s.bodies["PATCH "+sites+"/shop"]; !strings.Contains(got, finalizer) {
		t.Error(got)
	}
	status := s.bodies["PATCH "+sites+"/shop/status"]
	if !strings.Contains(status, "1 of 2 replicas ready") || !strings.Contains(status, `"observedGeneration":3`) {
		t.Error(status)
	}
	if s.bodies["PATCH "+core+"configmaps/names"] != "" {
		t.Error("published before it was ready")
	}
}

func TestAReadySiteIsPublished(t *testing.T) {
	o, s := start(t, strings.Replace(site1, "%s", `, "finalizers": ["k8s101.test/published"]`, 1))
	s.answers["PATCH "+deploys+"/shop"] = deployed(5, 2)
	if err := o.reconcileAll(context.Background()); err != nil {
		t.Fatal(err)
	}
	if got := s.bodies["PATCH "+core+"configmaps/names"]; got != `{"data":{"shop.test":"shop"}}` {
		t.Error(got)
	}
}

func TestAnOldStatusOfTheDeploymentDoesNotCount(t *testing.T) {
	o, s := start(t, strings.Replace(site1, "%s", "", 1))
	s.answers["PATCH "+deploys+"/shop"] = deployed(4, 2)
	if err := o.reconcileAll(context.Background()); err != nil {
		t.Fatal(err)
	}
	if got := s.bodies["PATCH "+core+"configmaps/names"]; got != "" {
		t.Error(got)
	}
}

func TestADeletedSiteIsWithdrawnAndLetGo(t *testing.T) {
	marked := `, "deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["a", "k8s101.test/published"]`
	o, s := start(t, strings.Replace(site1, "%s", marked, 1))
	if err := o.reconcileAll(context.Background()); err != nil {
		t.Fatal(err)
	}
	want := []string{"GET " + sites, "PATCH " + core + "configmaps/names", "PATCH " + sites + "/shop"}
	if strings.Join(s.calls, "\n") != strings.Join(want, "\n") {
		t.Error(s.calls)
	}
	if got := s.bodies["PATCH "+core+"configmaps/names"]; got != `{"data":{"shop.test":null}}` {
		t.Error(got)
	}
	if got := s.bodies["PATCH "+sites+"/shop"]; got != `{"metadata":{"finalizers":["a"]}}` {
		t.Error(got)
	}
}

func TestARefusalIsToldInTheServersWords(t *testing.T) {
	o, s := start(t, strings.Replace(site1, "%s", "", 1))
	s.refused["PATCH "+core+"services/shop"] = http.StatusForbidden
	if err := o.reconcileAll(context.Background()); err == nil {
		t.Error("no error")
	}
	if o.said["shop"] != "you may not" {
		t.Error(o.said)
	}
}
