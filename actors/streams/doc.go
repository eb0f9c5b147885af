// Package streams is the registry of published streams: it knows which stream actor stands behind a key, makes it for the first publisher, lets viewers wait for a
// stream that is not there yet, and gathers what the HTTP API asks about all of them.
//
// One registry lives in a generation of the engine; its children are the stream actors. It forwards and decides nothing about a single stream. That no
// publisher is lost when its message crosses a stream's end is told in registry.go of package stream; two streams of one key never exist at
// once, because a successor is made only after the former one's actor has ended.
//
// # Goroutines
//
// None, but the flusher that all streams share (stream.Flusher), which ends with the registry.
package streams
