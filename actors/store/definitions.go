package store

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"

	"berth/actors/portpool"
)

// definitions is what the store answers with: what is on disk, decoded, by the key that each has there.
type definitions struct {
	proxies   map[string]Proxy
	receivers map[string]Receiver
	senders   map[string]Sender
	overrides map[string]string
	cooling   []portpool.Remembered
}

func newDefinitions() *definitions {
	return &definitions{proxies: map[string]Proxy{}, receivers: map[string]Receiver{}, senders: map[string]Sender{}, overrides: map[string]string{}}
}

// decode turns contents into definitions. A record whose JSON does not fit is an error: its checksum was right, so it is
// of another version, and must not be dropped quietly.
func (c contents) decode() (*definitions, error) {
	d := newDefinitions()
	d.cooling = c.cooling()
	if err := decodeAll(c[bucketProxies], d.proxies, "definition of proxy", Proxy.ids); err != nil {
		return nil, err
	}
	if err := decodeAll(c[bucketReceivers], d.receivers, "definition of receiver", Receiver.ids); err != nil {
		return nil, err
	}
	if err := decodeAll(c[bucketSenders], d.senders, "definition of sender", Sender.ids); err != nil {
		return nil, err
	}
	return d, decodeAll(c[bucketOverrides], d.overrides, "override of", nil)
}

// decodeAll decodes one bucket into a map. ids, if given, says which keys a value may lie under.
func decodeAll[T any](values map[string][]byte, into map[string]T, what string, ids func(T) []string) error {
	for key, payload := range values {
		var v T
		if err := json.Unmarshal(payload, &v); err != nil {
			return fmt.Errorf("%s %s: %w", what, key, err)
		}
		if ids != nil && !slices.Contains(ids(v), key) {
			return fmt.Errorf("%s %s names another one, %s", what, key, ids(v)[0])
		}
		into[key] = v
	}
	return nil
}

// clone returns a copy whose maps are its own.
func (d *definitions) clone() *definitions {
	return &definitions{maps.Clone(d.proxies), maps.Clone(d.receivers), maps.Clone(d.senders), maps.Clone(d.overrides), d.cooling}
}

// has reports whether a key is on disk.
func (d *definitions) has(bucket, key string) bool {
	found := false
	switch bucket {
	case bucketProxies:
		_, found = d.proxies[key]
	case bucketReceivers:
		_, found = d.receivers[key]
	case bucketSenders:
		_, found = d.senders[key]
	case bucketOverrides:
		_, found = d.overrides[key]
	case bucketCooling:
		found = len(d.cooling) > 0
	}
	return found
}

func (d *definitions) listProxies() []Proxy { return inKeyOrder(d.proxies) }

func (d *definitions) listReceivers() []Receiver { return inKeyOrder(d.receivers) }

// listSenders goes by stream and SSRC, which the order of their keys on disk would not do: one stream's name may begin with another's.
func (d *definitions) listSenders() []Sender {
	return slices.SortedFunc(maps.Values(d.senders), func(a, b Sender) int {
		return cmp.Or(strings.Compare(a.Stream.String(), b.Stream.String()), strings.Compare(a.SSRC, b.SSRC), strings.Compare(a.Place().Host, b.Place().Host), cmp.Compare(a.Place().Port, b.Place().Port))
	})
}

func inKeyOrder[T any](values map[string]T) []T {
	out := make([]T, 0, len(values))
	for _, key := range slices.Sorted(maps.Keys(values)) {
		out = append(out, values[key])
	}
	return out
}

func (p Proxy) id() string { return p.Key.String() }

func (r Receiver) id() string { return r.Key.String() }

func (p Proxy) ids() []string { return []string{p.id()} }

func (r Receiver) ids() []string { return []string{r.id()} }

// ids has the key, too, that passive senders of one SSRC shared before they were told apart by their ports.
func (s Sender) ids() []string {
	p := s.Place()
	if s.Several && s.Mode == SendPassive {
		return []string{p.id(), p.sharedID()}
	}
	return []string{p.id()}
}

// Place is what removes the definition, and what tells it from others.
func (s Sender) Place() DeleteSender {
	p := DeleteSender{Stream: s.Stream, SSRC: s.SSRC}
	switch {
	case !s.Several:
	case s.Mode == SendPassive && s.Leased != 0:
		p.Port = s.Leased
	case s.Mode == SendPassive:
		p.Port = s.LocalPort
	default:
		p.Host, p.Port = s.Host, s.Port
	}
	return p
}

// senderKey returns the key of a sender: the one under which it already lies, if that is the one that it shared with others.
func (d *definitions) senderKey(p DeleteSender) string {
	if v, ok := d.senders[p.sharedID()]; ok && v.Place() == p {
		return p.sharedID()
	}
	return p.id()
}

func (m DeleteSender) id() string { return senderID(m.Stream.String(), m.SSRC, m.Host, m.Port) }

// sharedID is the key of whoever has the stream and SSRC to itself.
func (m DeleteSender) sharedID() string { return senderID(m.Stream.String(), m.SSRC, "", 0) }

// senderID is the key of a sender. An SSRC is a number, so that the last mark is the one between it and the stream, whatever that is called.
func senderID(stream, ssrc, host string, port uint16) string {
	id := stream + "#" + ssrc
	if host == "" && port == 0 {
		return id
	}
	return id + "@" + net.JoinHostPort(host, strconv.Itoa(int(port)))
}

// definitionOp encodes a definition.
func definitionOp(bucket, key string, v any) (op, error) {
	payload, err := json.Marshal(v)
	if err != nil {
		return op{}, fmt.Errorf("%s %s: %w", bucket, key, err)
	}
	return checkedOp(op{bucket, key, payload})
}

func proxyOp(p Proxy) (op, error) {
	if !p.Key.Valid() {
		return op{}, fmt.Errorf("proxy %q names no stream: vhost, app and stream must be given", p.Key.String())
	}
	return definitionOp(bucketProxies, p.id(), p)
}

func receiverOp(r Receiver) (op, error) {
	if !r.Key.Valid() {
		return op{}, fmt.Errorf("receiver %q names no stream: vhost, app and stream must be given", r.Key.String())
	}
	return definitionOp(bucketReceivers, r.id(), r)
}

func senderOp(s Sender, key string) (op, error) {
	if !s.Stream.Valid() {
		return op{}, fmt.Errorf("sender %q names no stream: vhost, app and stream must be given", s.Stream.String())
	}
	if _, err := strconv.ParseUint(s.SSRC, 10, 32); err != nil {
		return op{}, fmt.Errorf("sender of %s: %q is no SSRC, which is a decimal number below 2^32", s.Stream, s.SSRC)
	}
	return definitionOp(bucketSenders, key, s)
}

// overrideOps encodes overrides, in key order.
func overrideOps(values map[string]*string) ([]op, error) {
	var out []op
	for _, key := range slices.Sorted(maps.Keys(values)) {
		o := op{bucketOverrides, key, nil}
		if v := values[key]; v != nil {
			// A string always has a JSON form.
			o.payload, _ = json.Marshal(*v)
		}
		o, err := checkedOp(o)
		if err != nil {
			return nil, err
		}
		out = append(out, o)
	}
	return out, nil
}

func checkedOp(o op) (op, error) {
	if o.key == "" || len(o.key) > maxKeyBytes {
		return op{}, fmt.Errorf("%s: a key of %d bytes cannot be kept, the limits are 1 and %d", o.bucket, len(o.key), maxKeyBytes)
	}
	if len(o.payload) > maxPayloadBytes {
		return op{}, fmt.Errorf("%s %.80q: %d bytes cannot be kept, the limit is %d", o.bucket, o.key, len(o.payload), maxPayloadBytes)
	}
	return o, nil
}
