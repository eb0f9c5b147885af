package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"berth/netio/hostcheck"
)

// examine runs doctor on a host where so many files may be open.
func examine(t *testing.T, files uint64, asJSON, strict bool, set ...string) outcome {
	t.Helper()
	env, _ := home(t)
	var out, errOut bytes.Buffer
	p := &program{out: &out, errOut: &errOut, env: env, set: set}
	host := hostcheck.Host{
		ReadFile: func(name string) ([]byte, error) {
			switch name {
			case "/proc/sys/net/ipv4/ip_local_port_range":
				return []byte("32768 60999"), nil
			case "/proc/sys/net/ipv4/ip_local_reserved_ports":
				return []byte("8080"), nil
			case "/proc/net/udp", "/proc/net/udp6", "/proc/net/tcp", "/proc/net/tcp6":
				return nil, nil // no socket at all
			case "/proc/sys/net/core/rmem_default":
				return []byte("212992"), nil
			case "/proc/sys/net/core/rmem_max":
				return []byte("8388608"), nil
			}
			return nil, errors.New("not here")
		},
		Bind:      func(netip.Addr) error { return nil },
		OpenFiles: func() (uint64, error) { return files, nil },
		Writable:  func(string) error { return nil },
	}
	code := report(&errOut, p.doctor(host, asJSON, strict))
	return outcome{code, out.String(), errOut.String()}
}

func TestDoctorPrintsALineACheckAndTheCures(t *testing.T) {
	got := examine(t, 1<<20, false, true)
	require.Equal(t, exitDone, got.code, got.out+got.errOut)
	require.Regexp(t, `(?m)^ok    ephemeral-ports +no port of 20000-29999`, got.out)
	require.NotContains(t, got.out, " do: ")
	require.Contains(t, got.out, "8 checks: 8 ok, 0 to be warned of, 0 failed\n")

	warned := []string{"rtp_proxy.port_range=40000-49999"}
	got = examine(t, 1<<20, false, false, warned...)
	require.Equal(t, exitDone, got.code, "a warning is no failure")
	require.Regexp(t, `(?m)^warn  ephemeral-ports +10000 of 10000 ports`, got.out)
	require.Contains(t, got.out, "\n      do: echo 'net.ipv4.ip_local_reserved_ports = 8080,40000-49999' | sudo tee ")
	require.Contains(t, got.out, "7 ok, 1 to be warned of, 0 failed")
	require.Equal(t, exitFailed, examine(t, 1<<20, false, true, warned...).code, "with --strict it is")

	got = examine(t, 1024, false, false)
	require.Equal(t, exitFailed, got.code)
	require.Regexp(t, `(?m)^fail  open-files +1024 files may be open`, got.out)
	require.Contains(t, got.out, "\n      or: ulimit -n 32768")
	require.Empty(t, got.errOut, "everything has been said")
}

func TestDoctorSpeaksJSON(t *testing.T) {
	got := examine(t, 1024, true, false)
	require.Equal(t, exitFailed, got.code)
	var found diagnosis
	require.NoError(t, json.Unmarshal([]byte(got.out), &found))
	require.Equal(t, hostcheck.Fail, found.Level)
	require.Len(t, found.Findings, 8)
	for _, f := range found.Findings {
		require.Equal(t, f.Level != hostcheck.OK, len(f.Cure) > 0, "%+v", f)
	}
}

func TestDoctorRefusesABadConfiguration(t *testing.T) {
	got := examine(t, 1<<20, false, false, "rtp_proxy.port_range=5")
	require.Equal(t, exitFailed, got.code)
	require.Contains(t, got.errOut, "rtp_proxy.port_range")
	require.Empty(t, got.out)
}

// On this machine, whatever its state, the command itself works.
func TestDoctorLooksAtThisMachine(t *testing.T) {
	env, _ := home(t)
	got := command(t, env, "doctor", "--json")
	require.Contains(t, []int{exitDone, exitFailed}, got.code)
	var found diagnosis
	require.NoError(t, json.Unmarshal([]byte(got.out), &found))
	require.NotEmpty(t, found.Findings)
	require.Equal(t, found.Level == hostcheck.Fail, got.code == exitFailed)
}
