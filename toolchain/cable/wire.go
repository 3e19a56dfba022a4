package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/netip"
	"os"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/link/fdbased"
	"gvisor.dev/gvisor/pkg/tcpip/network/arp"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

const (
	nic         = 1
	mtu         = 1500
	dialTimeout = 10 * time.Second
	loopback    = "127.0.0.1"
)

var hardware = tcpip.LinkAddress("\x5a\x94\xef\xe4\x0c\xdd")

// A wire is the network stack at the machine's end of the guest's Ethernet.
type wire struct {
	// the socket is closed when nothing refers to it any more
	guest   *os.File
	stack   *stack.Stack
	gateway tcpip.FullAddress
}

func newWire(guest *net.UnixConn, subnet, gateway, machine string) (*wire, error) {
	file, err := guest.File()
	if err != nil {
		return nil, err
	}
	link, err := fdbased.New(&fdbased.Options{
		FDs:            []int{int(file.Fd())},
		MTU:            mtu,
		EthernetHeader: true,
		Address:        hardware,
		// the guest has gone, and this with it
		ClosedFunc:           func(err tcpip.Error) { log.Fatal("the guest has gone: ", err) },
		ProcessorsPerChannel: 1,
	})
	if err != nil {
		return nil, err
	}
	s := stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, arp.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol, icmp.NewProtocol4},
	})
	sack := tcpip.TCPSACKEnabled(true)
	if err := s.SetTransportProtocolOption(tcp.ProtocolNumber, &sack); err != nil {
		return nil, errors.New(err.String())
	}
	if err := s.CreateNIC(nic, link); err != nil {
		return nil, errors.New(err.String())
	}
	for _, text := range []string{gateway, machine} {
		address, err := parse(text, 0)
		if err != nil {
			return nil, err
		}
		own := tcpip.ProtocolAddress{Protocol: ipv4.ProtocolNumber, AddressWithPrefix: address.Addr.WithPrefix()}
		if err := s.AddProtocolAddress(nic, own, stack.AddressProperties{}); err != nil {
			return nil, errors.New(err.String())
		}
	}
	prefix, err := netip.ParsePrefix(subnet)
	if err != nil {
		return nil, err
	}
	mask := net.CIDRMask(prefix.Bits(), 32)
	network, err := tcpip.NewSubnet(tcpip.AddrFrom4(prefix.Masked().Addr().As4()), tcpip.MaskFromBytes(mask))
	if err != nil {
		return nil, err
	}
	s.SetRouteTable([]tcpip.Route{{Destination: network, NIC: nic}})
	from, err := parse(gateway, 0)
	return &wire{file, s, from}, err
}

// admit lets the guest use one port of the machine's loopback.
func (w *wire) admit(machine, port string) error {
	address, err := resolve(net.JoinHostPort(machine, port))
	if err != nil {
		return err
	}
	listener, err := gonet.ListenTCP(w.stack, address, ipv4.ProtocolNumber)
	if err != nil {
		return err
	}
	go serve(listener, func() (net.Conn, error) { return net.Dial("tcp", net.JoinHostPort(loopback, port)) })
	return nil
}

// dial connects to an address in the guest.
func (w *wire) dial(target string) (net.Conn, error) {
	address, err := resolve(target)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), dialTimeout)
	defer cancel()
	return gonet.DialTCPWithBind(ctx, w.stack, w.gateway, address, ipv4.ProtocolNumber)
}

func resolve(target string) (tcpip.FullAddress, error) {
	pair, err := netip.ParseAddrPort(target)
	if err != nil {
		return tcpip.FullAddress{}, err
	}
	return parse(pair.Addr().String(), pair.Port())
}

func parse(text string, port uint16) (tcpip.FullAddress, error) {
	address, err := netip.ParseAddr(text)
	if err != nil || !address.Is4() {
		return tcpip.FullAddress{}, fmt.Errorf("%q is no IPv4 address", text)
	}
	return tcpip.FullAddress{NIC: nic, Addr: tcpip.AddrFrom4(address.As4()), Port: port}, nil
}

// serve answers each connection by one that dial makes.
func serve(listener net.Listener, dial func() (net.Conn, error)) {
	for {
		near, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			defer near.Close()
			far, err := dial()
			if err != nil {
				return
			}
			defer far.Close()
			join(near, far)
		}()
	}
}

// join copies in both directions until both have ended.
func join(near, far net.Conn) {
	done := make(chan struct{}, 2)
	for _, pair := range [][2]net.Conn{{near, far}, {far, near}} {
		go func(from, to net.Conn) {
			if _, err := io.Copy(to, from); err != nil && !errors.Is(err, net.ErrClosed) {
				// the other direction has no more to say either
				from.Close()
			}
			if half, ok := to.(interface{ CloseWrite() error }); !ok || half.CloseWrite() != nil {
				to.Close()
			}
			done <- struct{}{}
		}(pair[0], pair[1])
	}
	<-done
	<-done
}
