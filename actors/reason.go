package actors

// CloseReason says why a session, stream, proxy or lease ended. One value reaches log, metric, hook and API alike.
type CloseReason string

// The reasons that exist. Their text is stable: it is a metric label and stands in API replies.
const (
	ReasonPeerClosed    CloseReason = "peer_closed"    // the peer ended the connection or sent TEARDOWN
	ReasonTimeout       CloseReason = "timeout"        // no request, keep-alive or media within the limit
	ReasonProtocolError CloseReason = "protocol_error" // the peer broke the protocol beyond repair
	ReasonRefused       CloseReason = "refused"        // authentication, a hook or a limit said no
	ReasonNotFound      CloseReason = "not_found"      // the stream did not appear in time
	ReasonNoPorts       CloseReason = "no_ports"       // the port pool refused a lease
	ReasonSlowReader    CloseReason = "slow_reader"    // the viewer could not keep up and the policy says close
	ReasonStreamEnded   CloseReason = "stream_ended"   // the stream that was played ended
	ReasonSourceLost    CloseReason = "source_lost"    // the publisher or pulled source went away
	ReasonReplaced      CloseReason = "replaced"       // another publisher took over
	ReasonNoReader      CloseReason = "no_reader"      // auto_close: nobody watched for the configured time
	ReasonKicked        CloseReason = "kicked"         // an API call ended it
	ReasonDeleted       CloseReason = "deleted"        // its definition was deleted
	ReasonRestart       CloseReason = "restart"        // a full restart tore the engine down
	ReasonShutdown      CloseReason = "shutdown"       // the process ends
	ReasonCrashed       CloseReason = "crashed"        // the actor panicked
)
