package main

import (
	"fmt"
	"html"
	"net/http"
)

// A look is how a release shows itself in a browser: by a colour and by its name, for those who cannot see colours.
type look struct {
	name  string
	color string // dark enough for white letters: a contrast of 4.5 at least
}

var looks = map[string]look{
	"1.0.0": {"blue", "#1d4ed8"},
	"1.0.1": {"violet", "#7e22ce"},
	"1.1.0": {"teal", "#0f766e"},
	"1.1.1": {"red", "#b91c1c"},
	"2.0.0": {"green", "#15803d"},
	"2.1.0": {"brown", "#92400e"},
	"2.1.1": {"red", "#b91c1c"},
}

const pageTemplate = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>hello %[1]s</title>
<link rel="icon" href="data:,">
<style>
body { margin: 0; min-height: 100vh; display: grid; place-content: center; text-align: center;
       font: 1.4rem/1.6 system-ui, sans-serif; color: #fff; background: %[2]s }
h1 { margin: 0; font-size: 3.5rem; line-height: 1.2 }
a { color: inherit }
</style>
<h1>hello %[1]s</h1>
<p>%[3]s</p>
<p>version %[1]s is the <strong>%[4]s</strong> one<br>host <strong>%[5]s</strong><br>request number %[6]d to this host</p>
<p><a href="">ask again</a></p>
</html>
`

// browserPage shows the same facts as the line of text, and how often this host was asked.
func (a *app) browserPage(w http.ResponseWriter, status int, line string, count int64) {
	shown, known := looks[a.version]
	if !known {
		shown = look{"grey", "#374151"}
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	version, host := html.EscapeString(a.version), html.EscapeString(a.host)
	fmt.Fprintf(w, pageTemplate, version, shown.color, html.EscapeString(line), shown.name, host, count)
}
