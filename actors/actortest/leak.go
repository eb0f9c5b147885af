package actortest

import (
	"testing"
	"time"

	"go.uber.org/goleak"
)

// tolerated are the goroutines of the actor system that outlive actors by design and end by themselves within seconds: the parked workers of the dispatcher,
// and the library's throttle of dead letter lines (under the names that the compiler gives it with and without inlining).
func tolerated() []goleak.Option {
	return []goleak.Option{
		goleak.IgnoreTopFunction("berth/actors.(*dispatcher).work"),
		goleak.IgnoreTopFunction("github.com/asynkron/protoactor-go/actor.NewDeadLetter.NewThrottle.func4.1"),
		goleak.IgnoreTopFunction("github.com/asynkron/protoactor-go/actor.NewDeadLetter.NewThrottle.func3.1"),
		goleak.IgnoreTopFunction("github.com/asynkron/protoactor-go/actor.NewThrottle.func1.1"),
		goleak.IgnoreTopFunction("github.com/asynkron/protoactor-go/actor.NewThrottle.func2.1"),
	}
}

// Main is the TestMain of a package whose tests start goroutines: it fails the package when any is left at the end.
//
//	func TestMain(m *testing.M) { actortest.Main(m) }
func Main(m *testing.M) { goleak.VerifyTestMain(m, tolerated()...) }

// CheckLeaks fails the test when goroutines that it started are left after its clean-ups. Call it first; not for parallel tests.
func CheckLeaks(t testing.TB) {
	t.Helper()
	options := append(tolerated(), goleak.IgnoreCurrent())
	t.Cleanup(func() {
		limit := time.Now().Add(Wait)
		for {
			err := goleak.Find(options...)
			if err == nil {
				return
			}
			if time.Now().After(limit) {
				t.Errorf("goroutines left behind: %v", err)
				return
			}
		}
	})
}
