package actors

import "github.com/asynkron/protoactor-go/actor"

// WatchOutliving is ctx.Watch for an actor that lives longer than the watcher. What the library notes is the watcher's own PID, which points to its process, and from there to everything that the watcher knew:
// it is kept until the watched actor ends, even after Unwatch, in the unused end of a slice. Here a bare name is noted instead. The watcher must still Unwatch when it ends, or the list of
// names grows.
func WatchOutliving(ctx actor.Context, who *actor.PID) {
	self := ctx.Self()
	process, _ := ctx.ActorSystem().ProcessRegistry.Get(who) // of an actor that is gone: the dead letters, which answer with Terminated
	process.SendSystemMessage(who, &actor.Watch{Watcher: actor.NewPID(self.Address, self.Id)})
}
