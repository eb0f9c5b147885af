// Package slab lends memory in pieces of one size that the garbage collector neither looks at nor counts.
//
// What a stream keeps for viewers to come is most of a media server's memory, and is thrown away piece by piece as the next key frames come. As garbage it would cost a third as much again, which is what
// the heap grows by between two collections. A piece that is given back serves the next stream at once.
//
// Whoever takes a piece must know when nobody looks at it any more; package berth/media/hub, the only user, does while a stream has no readers. The system's part (mapping memory and handing it back) comes
// from outside, because packages of media make no system calls: actors/streams has it.
//
// A [Pool] may be used by any number of goroutines. The package starts none.
package slab
