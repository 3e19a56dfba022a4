package main

import (
	"encoding/binary"
	"io"
	"net/http"
	"strings"
)

// The method that gRPC probes of Kubernetes call; its messages are those of grpc/health/v1/health.proto.
const grpcCheck = "/grpc.health.v1.Health/Check"

const (
	grpcOK          = "0"
	grpcInvalid     = "3"
	grpcUnknownName = "5"

	mostAsked = 1 << 10 // bytes
)

// checkByGRPC tells health, or readiness if asked for the service of this name. Two messages of one field
// each need no library: a frame is a zero byte, the length in four bytes, and the message.
func (a *app) checkByGRPC(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/grpc")
	service, ok := askedService(r)
	var status int
	switch {
	case !ok:
		endGRPC(w, grpcInvalid)
		return
	case service == "" || service == "liveness":
		status, _ = a.state.health()
	case service == "readiness":
		status, _ = a.state.readiness()
	default:
		endGRPC(w, grpcUnknownName)
		return
	}
	serving := byte(1)
	if status != http.StatusOK {
		serving = 2 // NOT_SERVING
	}
	w.Write([]byte{0, 0, 0, 0, 2, 1 << 3, serving})
	endGRPC(w, grpcOK)
}

func endGRPC(w http.ResponseWriter, status string) {
	w.Header().Set(http.TrailerPrefix+"Grpc-Status", status)
}

// askedService reads the only field of a HealthCheckRequest: number 1, a string.
func askedService(r *http.Request) (string, bool) {
	frame, err := io.ReadAll(io.LimitReader(r.Body, mostAsked))
	if err != nil || !strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc") ||
		len(frame) < 5 || frame[0] != 0 || int(binary.BigEndian.Uint32(frame[1:5])) != len(frame)-5 {
		return "", false
	}
	message := frame[5:]
	if len(message) == 0 {
		return "", true
	}
	if message[0] != 1<<3|2 {
		return "", false
	}
	length, read := binary.Uvarint(message[1:])
	if name := message[1+max(read, 0):]; read > 0 && length == uint64(len(name)) {
		return string(name), true
	}
	return "", false
}
