// Package httpd is one HTTP/1.1 server (RFC 9110, RFC 9112) with every limit that a server on an open network needs: header size and time, body
// size and time, a time for each write, idle time, and a number of connections. It knows nothing of what it serves: actors/api
// owns one, hands it listeners and a handler, and is told of accesses, panics and faults through functions.
//
// # Limits
//
// The body of a request is read whole before the handler runs, so that a slow sender costs a connection and never a
// handler. At the connection limit the connection that has been idle longest makes room; when none is idle the newcomer is
// answered 503 with Retry-After and closed. [Server.SetLimits] changes the limits while serving: sizes and CORS hold from the next request, times from
// the next connection.
//
// # Goroutines
//
// One for each listener, one for each connection (net/http's), and a bounded number that say 503. All methods of [Server] may be called
// from any goroutine. The functions in [Options] are called from connection goroutines, several at once. [Server.Close] ends every goroutine
// and waits for them; it must not be called from a handler.
package httpd
