// Program berth is the media server and the command line that goes with it: serve runs it, demo runs it with a camera of its
// own, check, config, secret and doctor look at files and this machine only, and get, set, unset,
// reload, restart and ports talk to a running server over its HTTP API.
//
// Exit codes: 0 done; 1 failed, or the server rejected it; 2 wrong usage; 3 reloaded, but something waits for a full
// restart; 128 plus the signal's number when a second SIGINT or SIGTERM ended the server at once.
//
// Each command stands in its own file. A command returns an error; main alone writes it and exits. The package starts no
// goroutine but those of demo, and hands signals on to actors/supervisor, which decides what they do.
package main
