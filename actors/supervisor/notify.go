package supervisor

import (
	"fmt"

	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"
)

// notifier tells the service manager (systemd, Type=notify-reload) what the server does. Without one it does nothing.
type notifier struct{}

func (notifier) ready()    { send(daemon.SdNotifyReady) }
func (notifier) stopping() { send(daemon.SdNotifyStopping) }

// reloading begins a reload; systemd wants the monotonic time with it and waits for reloaded.
func (notifier) reloading() {
	var now unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) != nil {
		return
	}
	send(fmt.Sprintf("%s\nMONOTONIC_USEC=%d", daemon.SdNotifyReloading, now.Nano()/1000))
}

func (notifier) reloaded() { send(daemon.SdNotifyReady) }

// send is best effort: a service manager that does not listen must not disturb the server.
func send(state string) { _, _ = daemon.SdNotify(false, state) }
