// Cable joins the guest to the machine, and to nothing else of it.
//
// On one side is Ethernet on a socket, with a small network stack of this process at its end; on the other are
// connections of the machine's user. From the guest only the ports in -ports lead anywhere: to the same ports of
// the machine's loopback. There is no name service, no other address and no other protocol, whatever the guest
// asks for. From the machine, sockets lead to addresses in the guest: the one of -control from the start, others
// as the socket of -forwards is asked for.
package main

import (
	"flag"
	"log"
	"net"
	"strings"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("cable: ")
	ethernet := flag.String("ethernet", "", "socket (SOCK_SEQPACKET) at which the guest connects")
	forwards := flag.String("forwards", "", "socket at which forwards are asked for")
	control := flag.String("control", "", "SOCKET=ADDRESS:PORT, a socket that leads into the guest")
	subnet := flag.String("subnet", "", "the guest's network, as ADDRESS/BITS")
	gateway := flag.String("gateway", "", "address from which connections enter the guest")
	machine := flag.String("machine", "", "address that stands for the machine's loopback")
	ports := flag.String("ports", "", "the machine's ports that the guest may use, with commas between")
	flag.Parse()

	listener, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: *ethernet, Net: "unixpacket"})
	check(err)
	guest, err := listener.AcceptUnix()
	check(err)
	check(listener.Close())
	wire, err := newWire(guest, *subnet, *gateway, *machine)
	check(err)
	for _, port := range strings.Split(*ports, ",") {
		check(wire.admit(*machine, port))
	}
	socket, target, _ := strings.Cut(*control, "=")
	inside, err := net.Listen("unix", socket)
	check(err)
	go serve(inside, func() (net.Conn, error) { return wire.dial(target) })
	check(serveForwards(*forwards, wire))
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
