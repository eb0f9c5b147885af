// Package tcp keeps listening TCP sockets open across the generations of a server, and the TLS certificate that they
// share. The process owns each socket as a [Listener]; whoever serves it borrows a [net.Listener] view whose Close gives
// the socket back without closing it, so that connections which arrive between two borrowers wait in the kernel's backlog
// instead of being refused. Beside that it has what those share who read connections: [ReadNow].
//
// All types are safe for use by several goroutines. The package starts none.
package tcp
