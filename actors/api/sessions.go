package api

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"berth/actors"
	"berth/actors/rtspd"
	"berth/netio/httpd"
)

// httpSessionPrefix begins the ids of HTTP connections; what follows is the connection's number.
const httpSessionPrefix = "http-"

// sessionType is what stands in `typeid`, where ZLMediaKit has the name of its class.
func sessionType(protocol string) string {
	switch protocol {
	case "http", "https":
		return "HttpSession"
	case "rtp", "rtp_talk":
		return "RtpSender"
	}
	return "RtspSession"
}

// sessionFilter is the pair of arguments that getAllSession and kick_sessions share; zero fields match all.
type sessionFilter struct {
	localPort uint16
	peer      netip.Addr
}

func sessionFilterOf(c *call) (f sessionFilter, err error) {
	if f.localPort, err = c.args.port("local_port"); err != nil {
		return f, err
	}
	f.peer, err = c.args.address("peer_ip")
	return f, err
}

func (f sessionFilter) matches(info httpd.ConnInfo) bool {
	return (f.localPort == 0 || f.localPort == info.Local.Port()) && (!f.peer.IsValid() || f.peer == info.Peer.Addr().Unmap())
}

func (f sessionFilter) rtsp() rtspd.Filter {
	return rtspd.Filter{LocalPort: f.localPort, PeerIP: f.peer}
}

// httpConns lists the matching connections of this front, oldest first.
func (s *service) httpConns(f sessionFilter) []httpd.ConnInfo {
	list := slices.DeleteFunc(s.http.Conns(), func(info httpd.ConnInfo) bool { return !f.matches(info) })
	slices.SortFunc(list, func(a, b httpd.ConnInfo) int { return cmp.Compare(a.ID, b.ID) })
	return list
}

func (s *service) getAllSession(c *call) (object, error) {
	filter, err := sessionFilterOf(c)
	if err != nil {
		return nil, err
	}
	answer, err := ask[*rtspd.Sessions](c.ctx, s, c.engine.RTSP, &rtspd.ListSessions{Filter: filter.rtsp()})
	if err != nil {
		return nil, err
	}
	var items []object
	for i := range answer.Sessions {
		info := &answer.Sessions[i]
		item := session(info.ID, info.Protocol, info.Peer, info.Local)
		item["since"], item["state"], item["transport"] = info.Since.Unix(), info.State, info.Transport
		if info.Stream.Valid() {
			item["vhost"], item["app"], item["stream"] = info.Stream.VHost, info.Stream.App, info.Stream.Stream
		}
		items = append(items, item)
	}
	for _, info := range s.httpConns(filter) {
		protocol := "http"
		if info.TLS {
			protocol = "https"
		}
		item := session(httpSessionPrefix+strconv.FormatUint(info.ID, 10), protocol, info.Peer, info.Local)
		item["since"], item["state"] = info.Since.Unix(), string(info.State)
		items = append(items, item)
	}
	return withList(object{}, "data", items), nil
}

func session(id, protocol string, peer, local netip.AddrPort) object {
	return sockInfo(object{"id": id, "type": "tcp", "typeid": sessionType(protocol), "protocol": protocol}, id, peer, local)
}

func (s *service) kickSession(c *call) (object, error) {
	id := c.args.text("id")
	if number, ok := strings.CutPrefix(id, httpSessionPrefix); ok {
		n, err := strconv.ParseUint(number, 10, 64)
		if err == nil && s.kickHTTP(c, n) {
			return object{}, nil
		}
		return nil, failed("can not find the target")
	}
	answer, err := ask[*rtspd.SessionsKicked](c.ctx, s, c.engine.RTSP, &rtspd.KickSessions{
		Filter: rtspd.Filter{ID: id}, Reason: actors.ReasonKicked,
	})
	if err != nil {
		return nil, err
	}
	if answer.Hit == 0 {
		return nil, failed("can not find the target")
	}
	return object{}, nil
}

// kickHTTP cuts an HTTP connection. The one that the call came on ends after the reply instead.
func (s *service) kickHTTP(c *call, id uint64) bool {
	if own, ok := httpd.Conn(c.request.Context()); ok && own.ID == id {
		c.reply.Set("Connection", "close")
		return true
	}
	return s.http.CloseConn(id)
}

// kickSessions ends every session that matches but the calling connection.
func (s *service) kickSessions(c *call) (object, error) {
	filter, err := sessionFilterOf(c)
	if err != nil {
		return nil, err
	}
	answer, err := ask[*rtspd.SessionsKicked](c.ctx, s, c.engine.RTSP, &rtspd.KickSessions{
		Filter: filter.rtsp(), Reason: actors.ReasonKicked,
	})
	if err != nil {
		return nil, err
	}
	hit := answer.Hit
	own, _ := httpd.Conn(c.request.Context())
	for _, info := range s.httpConns(filter) {
		if info.ID != own.ID && s.http.CloseConn(info.ID) {
			hit++
		}
	}
	return object{"count_hit": hit}, nil
}
