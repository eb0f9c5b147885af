package supervisor

import (
	"fmt"
	"strings"

	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"

	"berth/actors/reload"
)

// notifier tells the service manager (systemd, Type=notify-reload; see sd_notify(3)) what the server does. Without one it does nothing.
type notifier struct{}

// ready ends a start, a reload or a full restart; status is what `systemctl status` shows.
func (notifier) ready(status string) { send(daemon.SdNotifyReady + "\nSTATUS=" + status) }

func (notifier) stopping() { send(daemon.SdNotifyStopping + "\nSTATUS=shutting down") }

// alive resets the service manager's watchdog.
func (notifier) alive() { send(daemon.SdNotifyWatchdog) }

// reloading begins a reload; systemd wants the monotonic time with it and waits for ready.
func (notifier) reloading() {
	var now unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) != nil {
		return
	}
	send(fmt.Sprintf("%s\nMONOTONIC_USEC=%d", daemon.SdNotifyReloading, now.Nano()/1000))
}

// send is best effort: a service manager that does not listen must not disturb the server.
func send(state string) { _, _ = daemon.SdNotify(false, state) }

// maxStatusBytes keeps a status to what one line of a terminal bears.
const maxStatusBytes = 200

// oneLine returns the first line of text, shortened.
func oneLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	if len(line) > maxStatusBytes {
		line = strings.ToValidUTF8(line[:maxStatusBytes], "") + "..."
	}
	return line
}

// statusOfReload says what a reload did.
func statusOfReload(v *reload.Verdict) string {
	if v.Err != nil {
		return "reload rejected, nothing changed: " + oneLine(v.Err.Error())
	}
	var applied int
	var pending []string
	for _, k := range v.Keys {
		switch k.Outcome {
		case reload.Pending:
			pending = append(pending, k.Key)
		case reload.Applied, reload.AppliedNew:
			applied++
		case reload.Rejected:
		}
	}
	if len(pending) == 0 {
		return fmt.Sprintf("running; %d changed keys applied", applied)
	}
	return oneLine(fmt.Sprintf("running; %d changed keys applied; waiting for a full restart: %s", applied, strings.Join(pending, ", ")))
}

// statusOfRestart says how a full restart ended.
func statusOfRestart(r *Restarted) string {
	if r.Err != nil {
		return oneLine(fmt.Sprintf("generation %d runs; full restart refused or failed: %v", r.Generation, r.Err))
	}
	return fmt.Sprintf("generation %d runs; %d definitions restored", r.Generation, r.Restored)
}
