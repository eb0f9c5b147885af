package actortest

import (
	"os"
	"os/exec"
	"testing"
)

// InteropVariable is the environment variable that decides what a missing peer program means: "require" fails the test, anything else skips it.
const InteropVariable = "BERTH_INTEROP"

// NeedPeer makes sure that the programs are installed. Without one of them the test is skipped with a message that names it; with BERTH_INTEROP=require it
// fails.
func NeedPeer(t testing.TB, programs ...string) {
	t.Helper()
	for _, name := range programs {
		if _, err := exec.LookPath(name); err == nil {
			continue
		}
		if os.Getenv(InteropVariable) == "require" {
			t.Fatalf("%s is not installed, and %s=require asks for it: install it or unset the variable", name, InteropVariable)
		}
		t.Skipf("%s is not installed: install it to run this test (set %s=require to make this an error)", name, InteropVariable)
	}
}
