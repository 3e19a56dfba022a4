package main

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// probe asks as the kubelet does: by HTTP/2 without encryption. It returns the status in the trailer and the answer.
func probe(t *testing.T, address, message string) (string, string) {
	t.Helper()
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	defer transport.CloseIdleConnections()
	frame := "\x00" + string(binary.BigEndian.AppendUint32(nil, uint32(len(message)))) + message
	request, err := http.NewRequest("POST", "http://"+address+grpcCheck, strings.NewReader(frame))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/grpc")
	request.Header.Set("TE", "trailers")
	answer, err := transport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	if kind := answer.Header.Get("Content-Type"); answer.StatusCode != 200 || kind != "application/grpc" {
		t.Errorf("got %s, %s", answer.Status, kind)
	}
	return answer.Trailer.Get("Grpc-Status"), string(body)
}

func TestProbesByGRPC(t *testing.T) {
	a, out := testApp(t, "1.0.0")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- serveUntil(ctx, listener, a.handler(), time.Minute) }()
	const serving, notServing = "\x00\x00\x00\x00\x02\x08\x01", "\x00\x00\x00\x00\x02\x08\x02"
	check := func(message, status, answer string) {
		t.Helper()
		if gotStatus, got := probe(t, listener.Addr().String(), message); gotStatus != status || got != answer {
			t.Errorf("%q: got %s %q, expected %s %q", message, gotStatus, got, status, answer)
		}
	}
	check("", grpcOK, serving)
	check("\x0a\x00", grpcOK, serving)
	check("\x0a\x08liveness", grpcOK, serving)
	a.state.unready.Store(true)
	check("\x0a\x09readiness", grpcOK, notServing)
	check("", grpcOK, serving)
	a.state.unhealthy.Store(true)
	check("", grpcOK, notServing)
	check("\x0a\x05other", grpcUnknownName, "")
	for _, wrong := range []string{"\x0a", "\x0a\x09short", "\x12\x01x", "\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"} {
		check(wrong, grpcInvalid, "")
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("end: %v", err)
	}
	if log := out.String(); strings.Contains(log, "grpc") {
		t.Errorf("probes fill the log:\n%s", log)
	}
}

func TestFramesThatAreNone(t *testing.T) {
	a, _ := testApp(t, "1.0.0")
	answer := ask(a.handler(), "POST", grpcCheck, "Content-Type", "application/grpc")
	if got := answer.Header().Get(http.TrailerPrefix + "Grpc-Status"); got != grpcInvalid {
		t.Errorf("got %s", got)
	}
}
