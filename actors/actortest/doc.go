// Package actortest is what the tests of actor packages share: an actor system, a probe that records what an actor is sent, actors made from
// functions, waiting without sleeping, the goroutine leak check, the rule for programs that a test needs as peers, and ranges of ports that no other test has.
//
// Only tests import it. Every helper may be called from any goroutine unless it takes a testing.TB, in which case it
// belongs to the test's goroutine.
package actortest
