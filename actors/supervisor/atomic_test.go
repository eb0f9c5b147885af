package supervisor

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"

	"berth/actors"
	"berth/actors/reload"
)

// picky is an owner that refuses every snapshot in which a key has the value.
type picky struct{ key, value string }

func (p picky) Receive(ctx actor.Context) {
	if m, ok := ctx.Message().(*actors.ConfigChanged); ok {
		var err error
		if m.Config.Get(p.key) == p.value {
			err = errors.New("not with me")
		}
		ctx.Respond(&actors.ConfigTaken{Owner: "picky", Err: err})
	}
}

// What one owner refuses is undone at all the others, in the store too, and the owner is named.
func TestARefusedReloadIsUndoneAtEveryOwner(t *testing.T) {
	r := newRig(t, nil, 0)
	root := r.process.runtime.System.Root
	pid := root.Spawn(r.process.runtime.Props(func() actor.Actor { return picky{"pool.warn_at", "17"} }))
	t.Cleanup(func() { _ = root.StopFuture(pid).Wait() })
	root.Send(r.named("supervisor/reload"), &reload.Register{Name: "picky", PID: pid})

	settled := func(when string) {
		t.Helper()
		r.eventually("the API "+when, func() bool { return allowedOrigin(r) != "" })
		r.eventually("the RTSP server "+when, func() bool {
			w := r.wire()
			defer w.conn.Close()
			status, _ := w.ask("OPTIONS", "*", "", "")
			return status == 200
		})
		require.Equal(t, "80", r.inForce("pool.warn_at"))
	}
	settled("before")
	first := r.wire()
	status, _ := first.ask("OPTIONS", "*", "", "")
	require.Equal(t, 200, status)

	r.set("pool.warn_at", "17")
	r.set("http.allow_cross_domains", "false")
	r.set("rtsp.max_connections", "1")
	reply := r.call("reloadConfig")
	require.EqualValues(t, -1, reply["code"])
	require.Contains(t, fmt.Sprint(reply["msg"]), "picky: not with me")
	for name, key := range verdictKeys(reply) {
		require.Equal(t, "rejected", key["outcome"], name)
	}
	settled("after a reload that was refused")

	reply = r.call("setServerConfig", "pool.warn_at", "17", "http.allow_cross_domains", "0")
	require.EqualValues(t, -300, reply["code"])
	settled("after an override that was refused")
	overrides := r.call("getPendingConfig")["data"].(map[string]any)["overrides"]
	require.Empty(t, overrides)

	r.set("pool.warn_at", "18")
	require.EqualValues(t, 0, r.call("reloadConfig")["code"])
	require.Equal(t, "18", r.inForce("pool.warn_at"))
	require.Empty(t, allowedOrigin(r))
}

// Whatever fails before the apply leaves every key as it was, the good ones too.
func TestWhatFailsBeforeTheApplyChangesNothing(t *testing.T) {
	cert, key := certificate(t, "one.example", farAway)
	_, otherKey := certificate(t, "two.example", farAway)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	r := newRig(t, map[string]string{
		"tls.cert_file": strconv.Quote(cert), "tls.key_file": strconv.Quote(key), "http.sslport": strconv.Itoa(freePort(t)), "rtsp.sslport": strconv.Itoa(freePort(t)),
	}, 0)
	digest := func() any { return r.call("getPendingConfig")["data"].(map[string]any)["digest"] }
	before := digest()
	for name, c := range map[string]struct {
		call string
		set  map[string]string
		says string
	}{
		"certificate that is not there":     {"reloadConfig", map[string]string{"tls.cert_file": `"/no/such/file.pem"`}, "/no/such/file.pem"},
		"key of another certificate":        {"reloadConfig", map[string]string{"tls.key_file": strconv.Quote(otherKey)}, "TLS certificate"},
		"certificate that is none":          {"reloadConfig", map[string]string{"tls.cert_file": strconv.Quote(r.file)}, "TLS certificate"},
		"value out of bounds":               {"reloadConfig", map[string]string{"pool.warn_at": "101"}, "pool.warn_at"},
		"listener that cannot bind":         {"restartServer", map[string]string{"rtsp.port": strconv.Itoa(taken.Addr().(*net.TCPAddr).Port)}, "address already in use"},
		"certificate of a restart":          {"restartServer", map[string]string{"tls.cert_file": `"/no/such/file.pem"`}, "/no/such/file.pem"},
		"restart key of a strict reload":    {"reloadConfig strict", map[string]string{"general.enableVhost": "true"}, "general.enableVhost"},
		"empty file":                        {"reloadConfig", nil, "is empty"},
		"empty file of a restart":           {"restartServer", nil, "is empty"},
		"certificate in a run without test": {"reloadConfig dry_run", map[string]string{"tls.cert_file": `"/no/such/file.pem"`}, "/no/such/file.pem"},
	} {
		t.Run(name, func(t *testing.T) {
			keys := r.keys
			r.keys = map[string]string{}
			for k, v := range keys {
				r.keys[k] = v
			}
			for k, v := range c.set {
				r.keys[k] = v
			}
			r.keys["http.allow_cross_domains"] = "false" // good by itself
			r.write()
			if c.set == nil {
				require.NoError(t, os.Truncate(r.file, 0))
			}
			var reply map[string]any
			switch c.call {
			case "restartServer":
				reply = r.call(c.call, "wait", "1")
			case "reloadConfig strict":
				reply = r.call("reloadConfig", "strict", "1")
			case "reloadConfig dry_run":
				reply = r.call("reloadConfig", "dry_run", "1")
			default:
				reply = r.call(c.call)
			}
			r.keys = keys
			r.write()
			require.EqualValues(t, -1, reply["code"], "%v", reply)
			require.Contains(t, fmt.Sprint(reply["msg"]), c.says)
			require.Equal(t, before, digest())
			require.NotEmpty(t, allowedOrigin(r))
			require.Equal(t, "one.example", served(portOf(r, "http.sslport")))
			require.Empty(t, r.call("getPendingConfig")["data"].(map[string]any)["pending"])
			require.EqualValues(t, 1, r.generation())
		})
	}
}
