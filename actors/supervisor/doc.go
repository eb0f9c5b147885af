// Package supervisor is the root of the actor tree and the process around it: it opens the listening sockets, spawns store,
// reload and api for the life of the process, and builds the engine, generation by generation.
//
// A full restart ([Restart]) loads and validates the configuration first and refuses on any error with nothing touched; then it
// ends the engine in order, and builds the next generation, which starts every stored definition again. Listening sockets stay
// open throughout; those whose address changed are opened before the old ones close. A generation that cannot start is
// replaced by one with the configuration that was in force before.
//
// [Run] is the only entry for a program.
package supervisor
