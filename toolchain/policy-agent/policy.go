package main

import (
	"net/netip"
	"sort"

	core "k8s.io/api/core/v1"
	net "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// What the cluster holds.
type world struct {
	pods       []*core.Pod
	namespaces []*core.Namespace
	policies   []*net.NetworkPolicy
}

// A chain holds all that may reach a Pod, or all that a Pod may reach; everything else is dropped.
type chain struct {
	name    string
	pod     netip.Addr
	inbound bool
	rules   []rule
}

// A rule allows packets from or to one of the prefixes that are for one of the ports.
type rule struct {
	policy   string
	anybody  bool
	prefixes []netip.Prefix
	except   []netip.Prefix
	protocol core.Protocol // empty: every protocol and port
	ports    []portRange   // none: every port of the protocol
}

type portRange struct{ first, last uint16 }

// compile returns the chains of the Pods on a node, in an order that depends on nothing else.
func compile(seen world, node string) []chain {
	var chains []chain
	sort.Slice(seen.pods, func(a, b int) bool {
		return seen.pods[a].Namespace+"/"+seen.pods[a].Name < seen.pods[b].Namespace+"/"+seen.pods[b].Name
	})
	for _, pod := range seen.pods {
		address, ok := addressOf(pod)
		if !ok || pod.Spec.NodeName != node {
			continue
		}
		for _, inbound := range []bool{true, false} {
			name := map[bool]string{true: "to/", false: "from/"}[inbound] + pod.Namespace + "/" + pod.Name
			found, isolated := chain{name: name, pod: address, inbound: inbound}, false
			for _, policy := range seen.policies {
				if policy.Namespace != pod.Namespace || !covers(policy, inbound) ||
					!matches(&policy.Spec.PodSelector, pod.Labels) {
					continue
				}
				isolated = true
				if inbound {
					for _, each := range policy.Spec.Ingress {
						found.rules = append(found.rules, seen.rules(policy, each.From, each.Ports, pod)...)
					}
				} else {
					for _, each := range policy.Spec.Egress {
						found.rules = append(found.rules, seen.rules(policy, each.To, each.Ports, nil)...)
					}
				}
			}
			if isolated {
				sort.SliceStable(found.rules, func(a, b int) bool { return found.rules[a].policy < found.rules[b].policy })
				chains = append(chains, found)
			}
		}
	}
	return chains
}

// addressOf returns the address of a Pod that has one of its own and has not ended.
func addressOf(pod *core.Pod) (netip.Addr, bool) {
	ended := pod.Status.Phase == core.PodSucceeded || pod.Status.Phase == core.PodFailed
	address, err := netip.ParseAddr(pod.Status.PodIP)
	return address, err == nil && address.Is4() && !ended && !pod.Spec.HostNetwork
}

func covers(policy *net.NetworkPolicy, inbound bool) bool {
	for _, kind := range policy.Spec.PolicyTypes { // the API server has filled it in
		if kind == net.PolicyTypeIngress && inbound || kind == net.PolicyTypeEgress && !inbound {
			return true
		}
	}
	return false
}

func matches(selector *v1.LabelSelector, of map[string]string) bool {
	found, err := v1.LabelSelectorAsSelector(selector)
	return err == nil && found.Matches(labels.Set(of))
}

// rules returns what one entry of a policy allows. Ports with a name are those of the target, or, outbound, of each
// of the Pods that are allowed.
func (seen world) rules(policy *net.NetworkPolicy, peers []net.NetworkPolicyPeer, ports []net.NetworkPolicyPort,
	target *core.Pod) []rule {
	var found []rule
	for _, who := range seen.allowed(policy, peers) {
		base := rule{policy: policy.Name, anybody: who.anybody, prefixes: who.block, except: who.except}
		base.prefixes = append(base.prefixes, addresses(who.pods)...)
		if len(ports) == 0 {
			found = append(found, base)
		}
		for _, port := range ports {
			base.protocol, base.ports = core.ProtocolTCP, nil
			if port.Protocol != nil {
				base.protocol = *port.Protocol
			}
			switch {
			case port.Port == nil:
				found = append(found, base)
			case port.Port.Type == intstr.Int:
				last := port.Port.IntVal
				if port.EndPort != nil {
					last = *port.EndPort
				}
				base.ports = []portRange{{uint16(port.Port.IntVal), uint16(last)}}
				found = append(found, base)
			case target != nil:
				if number, ok := named(target, port.Port.StrVal, base.protocol); ok {
					base.ports = []portRange{{number, number}}
					found = append(found, base)
				}
			default:
				pods := who.pods
				if who.anybody {
					pods = seen.pods
				}
				for _, pod := range pods {
					if number, ok := named(pod, port.Port.StrVal, base.protocol); ok {
						one := base
						one.anybody, one.prefixes, one.ports = false, addresses([]*core.Pod{pod}), []portRange{{number, number}}
						found = append(found, one)
					}
				}
			}
		}
	}
	usable := found[:0]
	for _, each := range found {
		if each.anybody || len(each.prefixes) > 0 {
			usable = append(usable, each)
		}
	}
	return usable
}

// peers are whom one entry of a list names.
type peers struct {
	anybody bool
	pods    []*core.Pod
	block   []netip.Prefix
	except  []netip.Prefix
}

func (seen world) allowed(policy *net.NetworkPolicy, entries []net.NetworkPolicyPeer) []peers {
	if len(entries) == 0 {
		return []peers{{anybody: true}}
	}
	var together peers // all Pods of one list need one rule only
	var found []peers
	for _, entry := range entries {
		if entry.IPBlock != nil {
			found = append(found, peers{
				block: prefixes([]string{entry.IPBlock.CIDR}), except: prefixes(entry.IPBlock.Except)})
			continue
		}
		spaces := map[string]bool{policy.Namespace: entry.NamespaceSelector == nil}
		for _, space := range seen.namespaces {
			if entry.NamespaceSelector != nil && matches(entry.NamespaceSelector, space.Labels) {
				spaces[space.Name] = true
			}
		}
		for _, pod := range seen.pods {
			if spaces[pod.Namespace] && (entry.PodSelector == nil || matches(entry.PodSelector, pod.Labels)) {
				together.pods = append(together.pods, pod)
			}
		}
	}
	return append(found, together)
}

func addresses(pods []*core.Pod) []netip.Prefix {
	seen := map[netip.Prefix]bool{}
	var found []netip.Prefix
	for _, pod := range pods {
		if address, ok := addressOf(pod); ok && !seen[netip.PrefixFrom(address, 32)] {
			seen[netip.PrefixFrom(address, 32)] = true
			found = append(found, netip.PrefixFrom(address, 32))
		}
	}
	sort.Slice(found, func(a, b int) bool { return found[a].Addr().Less(found[b].Addr()) })
	return found
}

func prefixes(texts []string) []netip.Prefix {
	var found []netip.Prefix
	for _, text := range texts {
		if prefix, err := netip.ParsePrefix(text); err == nil && prefix.Addr().Is4() {
			found = append(found, prefix.Masked())
		}
	}
	return found
}

func named(pod *core.Pod, name string, protocol core.Protocol) (uint16, bool) {
	for _, container := range append(pod.Spec.Containers, pod.Spec.InitContainers...) {
		for _, port := range container.Ports {
			if port.Name == name && (port.Protocol == protocol || port.Protocol == "" && protocol == core.ProtocolTCP) {
				return uint16(port.ContainerPort), true
			}
		}
	}
	return 0, false
}
