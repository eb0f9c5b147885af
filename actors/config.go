package actors

import "berth/config"

// ConfigChanged tells an owner that the configuration in force changed. Sent by the reload actor to every owner it knows,
// after validation and before the verdict is given; the owner takes what concerns it and must answer with
// [ConfigTaken] at once (ctx.Respond). Keys of class Restart never differ from what the owner already has.
type ConfigChanged struct {
	Config  *config.Config  // the whole new snapshot, immutable
	Changes []config.Change // what differs from the previous one
}

// ConfigTaken is the owner's answer to [ConfigChanged].
type ConfigTaken struct {
	Owner string // the name under which the owner is registered, for instance "rtspd"
	Err   error  // why the owner refuses the snapshot; the reload is then undone
}
