// Package hostcheck finds what in a host will keep a server with a port pool from working well, before the load does: ephemeral ports and
// NodePorts inside the pool's range, too few file descriptors, addresses that are not there, small UDP buffers, a container's bridge
// network, a state directory that cannot be written, other programs on the range's ports.
//
// [Check] is pure: it reads the host through the functions of [Host], and [System] gives those of this machine. It changes nothing, but
// for a probe file and a probe socket that are gone when it returns. The supervisor calls it at the start and logs what it finds; the
// command line shows it to an operator. The package starts no goroutine; [Check] may be called from any.
package hostcheck
