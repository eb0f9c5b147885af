// Package rtspd is the RTSP server (RFC 2326) as actors: rtspd, which accepts connections and knows every session, and its children, one session actor a connection.
//
// A session executes what the state machine rtsp.Session decides. It owns its connection (rtsp.Conn reads it, a fanout.TCPSink writes it), asks streams, stream and
// portpool on the machine's behalf, and hands packets over by handle only: a viewer's reader goes to the fan-out, a publisher's packets go from the read loops
// straight into the stream's hub. Whatever it holds is given back in one release(), called from Stopping and Restarting; port leases end with it in any case.
//
// Goroutines: an accept loop a listener, and for a moment one for each of a few refused connections, all ended before the actor has stopped; the read loops of
// rtsp.Conn and rtsp.Ingest, ended before their session has stopped. Everything they have to say comes as a message tagged with the incarnation.
//
// Spawned by the engine; its messages are sent by the API (ListSessions, KickSessions) and the reload actor (actors.ConfigChanged).
package rtspd
