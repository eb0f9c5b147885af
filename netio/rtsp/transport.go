package rtsp

import (
	"strings"

	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/bluenviron/gortsplib/v5/pkg/headers"
)

// Transport is how a track's packets travel.
type Transport uint8

// The transports that the server speaks.
const (
	TransportNone Transport = iota // not set up
	TransportTCP                   // interleaved on the RTSP connection (RFC 2326 10.12)
	TransportUDP                   // unicast RTP and RTCP datagrams
)

// String returns "tcp", "udp" or "".
func (t Transport) String() string {
	switch t {
	case TransportTCP:
		return "tcp"
	case TransportUDP:
		return "udp"
	}
	return ""
}

// transportRules say which transports a session may use.
type transportRules struct {
	tcp, udp bool
	record   bool // the session publishes
}

// offer is the one choice of a client's Transport header that the server can serve.
type offer struct {
	transport  Transport
	channels   [2]int    // TCP: the client's wish, -1 when it left the choice to the server
	clientPort [2]uint16 // UDP: where the client receives RTP and RTCP; zero when a publisher did not say
}

// maxTransportChoices bounds the alternatives of one Transport header that are looked at.
const maxTransportChoices = 16

// negotiate picks the first choice of a Transport header (RFC 2326 12.39) that rules allow. A choice that cannot be understood is passed over, as the RFC's
// list of alternatives asks for. status is 400 when there is no header at all, 461 when no choice fits, 455 when the mode contradicts the session.
func negotiate(value base.HeaderValue, rules transportRules) (offer, base.StatusCode) {
	if len(value) == 0 {
		return offer{}, base.StatusBadRequest
	}
	wrongMode := false
	for i, choice := range strings.Split(strings.Join(value, ","), ",") {
		if i == maxTransportChoices {
			break
		}
		var t headers.Transport
		if t.Unmarshal(base.HeaderValue{strings.TrimSpace(choice)}) != nil {
			continue
		}
		if t.Mode != nil && *t.Mode == headers.TransportModeRecord && !rules.record {
			wrongMode = true
			continue
		}
		if o, ok := fit(t, rules); ok {
			return o, base.StatusOK
		}
	}
	if wrongMode {
		return offer{}, base.StatusMethodNotValidInThisState
	}
	return offer{}, base.StatusUnsupportedTransport
}

func fit(t headers.Transport, rules transportRules) (offer, bool) {
	if t.Profile != headers.TransportProfileAVP || t.Delivery != nil && *t.Delivery != headers.TransportDeliveryUnicast {
		return offer{}, false
	}
	if t.Protocol == headers.TransportProtocolTCP {
		o := offer{transport: TransportTCP, channels: [2]int{-1, -1}}
		if ids := t.InterleavedIDs; ids != nil && ids[0] >= 0 && ids[0] < 255 && ids[1] == ids[0]+1 {
			o.channels = *ids
		}
		return o, rules.tcp
	}
	o := offer{transport: TransportUDP}
	switch ports := t.ClientPorts; {
	case ports != nil && validPort(ports[0]) && validPort(ports[1]):
		o.clientPort = [2]uint16{uint16(ports[0]), uint16(ports[1])}
	case !rules.record:
		return offer{}, false // nowhere to send to
	}
	return o, rules.udp
}

func validPort(p int) bool { return 0 < p && p <= 65535 }

// freeChannels returns the wished channel pair, or the lowest free one when the wish is taken or absent. ok is false when all are in use.
func freeChannels(wish [2]int, used map[int]bool) (pair [2]int, ok bool) {
	if wish[0] >= 0 && !used[wish[0]] && !used[wish[1]] {
		return wish, true
	}
	for c := 0; c < 255; c += 2 {
		if !used[c] && !used[c+1] {
			return [2]int{c, c + 1}, true
		}
	}
	return pair, false
}

// reply is the Transport header of a SETUP response.
func (t *trackState) reply(record bool, source string) base.HeaderValue {
	unicast := headers.TransportDeliveryUnicast
	h := headers.Transport{Delivery: &unicast}
	if t.hasSSRC {
		h.SSRC = &t.ssrc
	}
	if record {
		mode := headers.TransportModeRecord
		h.Mode = &mode
	}
	if t.transport == TransportTCP {
		h.Protocol = headers.TransportProtocolTCP
		h.InterleavedIDs = &t.channels
		return h.Marshal()
	}
	if t.clientPort[0] != 0 {
		h.ClientPorts = &[2]int{int(t.clientPort[0]), int(t.clientPort[1])}
	}
	h.ServerPorts = &[2]int{int(t.serverPort), int(t.serverPort) + 1}
	if source != "" {
		h.Source2 = &source
	}
	return h.Marshal()
}
