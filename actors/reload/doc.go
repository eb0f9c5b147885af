// Package reload is the actor that holds the configuration in force. It reads, validates, compares, applies and reports,
// one reload at a time; whatever fails before the apply leaves everything as it was, and an owner that refuses a snapshot
// has it undone everywhere.
//
// Reading files and loading certificates happens in one goroutine a job, which posts one message back. Owners register
// with [Register] and answer actors.ConfigChanged with actors.ConfigTaken; the verdict is given only after all of them have.
package reload
