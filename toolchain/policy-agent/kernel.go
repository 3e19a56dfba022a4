package main

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"
	"golang.org/x/sys/unix"
	core "k8s.io/api/core/v1"
)

var table = &nftables.Table{Name: "network-policy", Family: nftables.TableFamilyIPv4}

const (
	register      = 1
	sourceOffset  = 12
	targetOffset  = 16
	addressLength = 4
	portOffset    = 2 // of the target
	portLength    = 2
)

var protocols = map[core.Protocol]byte{
	core.ProtocolTCP: unix.IPPROTO_TCP, core.ProtocolUDP: unix.IPPROTO_UDP, core.ProtocolSCTP: unix.IPPROTO_SCTP,
}

// writeTable puts the chains into the place of those before. The kernel takes all or nothing, and no packet meets
// half of it. A packet between two Pods passes the rules of the sender first, on the sender's node, then those of
// the receiver; what belongs to a connection that was allowed passes. Packets of the node itself are not forwarded,
// so a kubelet's probes always arrive.
func writeTable(chains []chain) error {
	kernel, err := nftables.New()
	if err != nil {
		return err
	}
	kernel.AddTable(table)
	kernel.DelTable(table)
	kernel.AddTable(table)
	for _, each := range chains {
		target := kernel.AddChain(&nftables.Chain{Name: each.name, Table: table})
		for _, allowed := range each.rules {
			if err := addRule(kernel, target, each.inbound, allowed); err != nil {
				return err
			}
		}
		kernel.AddRule(&nftables.Rule{Table: table, Chain: target, UserData: comment("no policy allows it"),
			Exprs: []expr.Any{&expr.Counter{}, &expr.Verdict{Kind: expr.VerdictDrop}}})
	}
	forward := kernel.AddChain(&nftables.Chain{Name: "forward", Table: table, Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookForward, Priority: nftables.ChainPriorityFilter})
	kernel.AddRule(&nftables.Rule{Table: table, Chain: forward, Exprs: established()})
	if err := addItself(kernel, forward, chains); err != nil {
		return err
	}
	for _, inbound := range []bool{false, true} {
		if err := addDispatch(kernel, forward, chains, inbound); err != nil {
			return err
		}
	}
	return kernel.Flush()
}

// addItself lets each Pod call itself, which it does through its own Service; no policy can forbid that.
// https://kubernetes.io/docs/concepts/services-networking/network-policies/#the-two-sorts-of-pod-isolation
func addItself(kernel *nftables.Conn, forward *nftables.Chain, chains []chain) error {
	var elements []nftables.SetElement
	known := map[netip.Addr]bool{}
	for _, each := range chains {
		if !known[each.pod] {
			elements = append(elements, nftables.SetElement{Key: slices.Concat(each.pod.AsSlice(), each.pod.AsSlice())})
		}
		known[each.pod] = true
	}
	if len(elements) == 0 {
		return nil
	}
	set := &nftables.Set{Table: table, Anonymous: true, Constant: true, Concatenation: true,
		KeyType: nftables.MustConcatSetType(nftables.TypeIPAddr, nftables.TypeIPAddr)}
	if err := kernel.AddSet(set, elements); err != nil {
		return err
	}
	// source and target stand one after the other in the packet
	kernel.AddRule(&nftables.Rule{Table: table, Chain: forward, Exprs: []expr.Any{
		&expr.Payload{DestRegister: register, Base: expr.PayloadBaseNetworkHeader,
			Offset: sourceOffset, Len: 2 * addressLength},
		&expr.Lookup{SourceRegister: register, SetName: set.Name, SetID: set.ID},
		&expr.Verdict{Kind: expr.VerdictAccept}}})
	return nil
}

// addDispatch leads the packets of each Pod to its chain, with one look-up for all Pods.
func addDispatch(kernel *nftables.Conn, forward *nftables.Chain, chains []chain, inbound bool) error {
	var elements []nftables.SetElement
	for _, each := range chains {
		if each.inbound == inbound {
			elements = append(elements, nftables.SetElement{Key: each.pod.AsSlice(),
				VerdictData: &expr.Verdict{Kind: expr.VerdictJump, Chain: each.name}})
		}
	}
	if len(elements) == 0 {
		return nil
	}
	set := &nftables.Set{Table: table, Anonymous: true, Constant: true, IsMap: true,
		KeyType: nftables.TypeIPAddr, DataType: nftables.TypeVerdict}
	if err := kernel.AddSet(set, elements); err != nil {
		return err
	}
	// 0 is the register of verdicts
	kernel.AddRule(&nftables.Rule{Table: table, Chain: forward, Exprs: []expr.Any{address(!inbound),
		&expr.Lookup{SourceRegister: register, DestRegister: 0, IsDestRegSet: true, SetName: set.Name, SetID: set.ID}}})
	return nil
}

func addRule(kernel *nftables.Conn, target *nftables.Chain, inbound bool, allowed rule) error {
	var expressions []expr.Any
	if !allowed.anybody {
		found, err := within(kernel, inbound, allowed.prefixes, false)
		if err != nil {
			return err
		}
		expressions = append(expressions, found...)
	}
	if len(allowed.except) > 0 {
		found, err := within(kernel, inbound, allowed.except, true)
		if err != nil {
			return err
		}
		expressions = append(expressions, found...)
	}
	if allowed.protocol != "" {
		expressions = append(expressions, &expr.Meta{Key: expr.MetaKeyL4PROTO, Register: register},
			&expr.Cmp{Op: expr.CmpOpEq, Register: register, Data: []byte{protocols[allowed.protocol]}})
	}
	for _, ports := range allowed.ports { // one at most
		expressions = append(expressions, &expr.Payload{DestRegister: register,
			Base: expr.PayloadBaseTransportHeader, Offset: portOffset, Len: portLength})
		first, last := binaryutil.BigEndian.PutUint16(ports.first), binaryutil.BigEndian.PutUint16(ports.last)
		if ports.first == ports.last {
			expressions = append(expressions, &expr.Cmp{Op: expr.CmpOpEq, Register: register, Data: first})
		} else {
			expressions = append(expressions,
				&expr.Range{Op: expr.CmpOpEq, Register: register, FromData: first, ToData: last})
		}
	}
	// allowed here; the receiver's chain has to allow it, too
	expressions = append(expressions, &expr.Verdict{Kind: expr.VerdictReturn})
	kernel.AddRule(&nftables.Rule{
		Table: table, Chain: target, Exprs: expressions, UserData: comment("policy " + allowed.policy)})
	return nil
}

// within compares the other end's address with prefixes.
func within(kernel *nftables.Conn, source bool, prefixes []netip.Prefix, invert bool) ([]expr.Any, error) {
	set := &nftables.Set{Table: table, Anonymous: true, Constant: true, Interval: true, KeyType: nftables.TypeIPAddr}
	if err := kernel.AddSet(set, intervals(prefixes)); err != nil {
		return nil, err
	}
	return []expr.Any{address(source),
		&expr.Lookup{SourceRegister: register, SetName: set.Name, SetID: set.ID, Invert: invert}}, nil
}

// intervals returns prefixes as the kernel wants them: in order, and none that touches the one before. One that
// reaches the last address has no end.
func intervals(prefixes []netip.Prefix) []nftables.SetElement {
	sorted := slices.SortedFunc(slices.Values(prefixes), func(a, b netip.Prefix) int { return a.Addr().Compare(b.Addr()) })
	var elements []nftables.SetElement
	end := uint64(0)
	for _, prefix := range sorted {
		first := uint64(binary.BigEndian.Uint32(prefix.Addr().AsSlice()))
		if len(elements) == 0 || first > end {
			elements = append(elements, ending(end, elements)...)
			elements = append(elements, nftables.SetElement{Key: prefix.Addr().AsSlice()})
		}
		end = max(end, first+uint64(1)<<(32-prefix.Bits()))
	}
	return append(elements, ending(end, elements)...)
}

func ending(end uint64, before []nftables.SetElement) []nftables.SetElement {
	if len(before) == 0 || end >= 1<<32 {
		return nil
	}
	return []nftables.SetElement{{Key: binaryutil.BigEndian.PutUint32(uint32(end)), IntervalEnd: true}}
}

func address(source bool) expr.Any {
	offset := uint32(targetOffset)
	if source {
		offset = sourceOffset
	}
	return &expr.Payload{DestRegister: register, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: addressLength}
}

func established() []expr.Any {
	states := binaryutil.NativeEndian.PutUint32(expr.CtStateBitESTABLISHED | expr.CtStateBitRELATED)
	zero := make([]byte, len(states))
	return []expr.Any{
		&expr.Ct{Key: expr.CtKeySTATE, Register: register},
		&expr.Bitwise{SourceRegister: register, DestRegister: register, Len: uint32(len(states)), Mask: states, Xor: zero},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: register, Data: zero},
		&expr.Verdict{Kind: expr.VerdictAccept},
	}
}

func comment(text string) []byte {
	return userdata.AppendString(nil, userdata.TypeComment, text)
}

// removeTable takes all rules out of the kernel.
func removeTable() error {
	kernel, err := nftables.New()
	if err != nil {
		return err
	}
	kernel.AddTable(table)
	kernel.DelTable(table)
	return kernel.Flush()
}

// probeQueue tells whether the kernel could ask a program about packets, as kube-network-policies needs it. The rule
// is in a chain that no packet meets, and is removed with its table.
func probeQueue() error {
	kernel, err := nftables.New()
	if err != nil {
		return err
	}
	probe := &nftables.Table{Name: "network-policy-probe", Family: nftables.TableFamilyIPv4}
	kernel.AddTable(probe)
	unused := kernel.AddChain(&nftables.Chain{Name: "unused", Table: probe})
	kernel.AddRule(&nftables.Rule{Table: probe, Chain: unused, Exprs: []expr.Any{&expr.Queue{Num: 100}}})
	kernel.DelTable(probe)
	return kernel.Flush()
}
