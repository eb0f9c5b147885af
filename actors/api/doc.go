// Package api is the HTTP front: ZLMediaKit's API under /index/api/, the page at /, /healthz, /readyz, /metrics and /debug/pprof. docs/http-api.md is its
// manual and lists where it differs from ZLMediaKit.
//
// The supervisor spawns one actor of it, which lives as long as the process: while the engine is torn down and rebuilt it
// goes on answering, with 503 and Retry-After where the engine is needed. The actor owns the HTTP server and takes configuration changes; that is all it
// does. Requests are answered on net/http's goroutines: a handler reads its arguments, asks the actor concerned with actors.Ask, and lays out the answer.
// No handler holds anything that outlives its request, except the full restart that restartServer began without waiting.
//
// To add an endpoint: write its handler beside its kin (streams.go, sessions.go, proxies.go, configuration.go, server.go), add a line to the table in
// endpoints.go, and a row to docs/http-api.md.
package api
