package main

import (
	"strings"
	"testing"
)

const firefox = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"

func TestPageForBrowsers(t *testing.T) {
	a, _ := testApp(t, "2.0.0")
	a.host = "pod-<1>"
	handler := a.handler()
	expect(t, ask(handler, "GET", "/", "Accept", "*/*"), 200, "hello 2.0.0 from pod-<1>")
	page := ask(handler, "GET", "/", "Accept", firefox)
	for _, part := range []string{
		"<h1>hello 2.0.0</h1>", "hello 2.0.0 from pod-&lt;1&gt;", "<strong>green</strong>", looks["2.0.0"].color,
		"request number 2 ",
	} {
		if !strings.Contains(page.Body.String(), part) {
			t.Errorf("no %q in\n%s", part, page.Body)
		}
	}
	if kind := page.Header().Get("Content-Type"); page.Code != 200 || !strings.HasPrefix(kind, "text/html") {
		t.Errorf("got %d, %s", page.Code, kind)
	}
	if page := ask(handler, "GET", "/healthz", "Accept", firefox); page.Body.String() != "ok\n" {
		t.Errorf("got %s", page.Body)
	}
}

func TestPageOfAReleaseWithABug(t *testing.T) {
	for release, want := range map[string]int{"1.1.1": 500, "2.1.1": 500, "dev": 200} {
		a, _ := testApp(t, release)
		page := ask(a.handler(), "GET", "/", "Accept", firefox)
		if bug := strings.Contains(page.Body.String(), "has a bug, says pod-1"); page.Code != want || bug != (want == 500) {
			t.Errorf("%s: got %d\n%s", release, page.Code, page.Body)
		}
	}
}

func TestHealthyReleasesLookDifferent(t *testing.T) {
	seen := map[look]string{}
	for release, shown := range looks {
		if other, twice := seen[shown]; twice && !(buggy[release] && buggy[other]) {
			t.Errorf("%s looks like %s", release, other)
		}
		seen[shown] = release
	}
}
