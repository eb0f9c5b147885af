package supervisor

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"berth/actors"
	"berth/actors/actortest"
	"berth/actors/reload"
	"berth/config"
)

// keyRow proves of one key that its owner observes a reload.
type keyRow struct {
	base map[string]string // beside what every server of these tests has, in TOML
	next map[string]string // what the reload changes; nil means the key itself to value
	to   string            // the key's next value, in TOML
	// prepare completes the row with what needs a test to make, such as files; may be nil.
	prepare func(*testing.T, *keyRow)
	// pairs of the port range; 0 means 20.
	pairs int
	// before sets the scene and shows that the new behaviour is not there yet; may be nil.
	before func(*keyRig)
	// after waits for the new behaviour, and fails when it does not come.
	after func(*keyRig)
}

// keyRig is the server of one row.
type keyRig struct {
	*server
	log  *lines
	mark any // what before leaves for after
}

// lines collects a log.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(line)
}

func (l *lines) has(text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.text.String(), text)
}

// last returns the newest line.
func (l *lines) last() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := strings.Split(strings.TrimSpace(l.text.String()), "\n")
	return all[len(all)-1]
}

// newRig starts a server whose log is collected.
func newRig(t *testing.T, base map[string]string, pairs int) *keyRig {
	t.Helper()
	if pairs == 0 {
		pairs = 20
	}
	r := &keyRig{server: newServer(t, pairs), log: &lines{}}
	maps.Copy(r.keys, base)
	r.start(faults{started: func(p *process) {
		var out io.Writer = r.log
		p.output.raw = out
		p.output.form.Store(&out)
	}})
	r.http.Timeout = actortest.Wait
	return r
}

// reload changes keys in the file and has it read, without the API, which the keys may have shut.
func (r *keyRig) reload(changes map[string]string) *reload.Verdict {
	r.t.Helper()
	maps.Copy(r.keys, changes)
	r.write()
	verdict, err := actors.Ask[*reload.Verdict](r.t.Context(), r.process.runtime.System, r.named("supervisor/reload"), &reload.Reload{By: "test"})
	require.NoError(r.t, err)
	require.NoError(r.t, verdict.Err)
	return verdict
}

// get makes a plain request and returns status, header and body.
func (r *keyRig) get(path string, header ...string) (int, http.Header, string) {
	r.t.Helper()
	request, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, "http://"+r.ready.HTTP.String()+path, http.NoBody)
	require.NoError(r.t, err)
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := r.http.Do(request)
	require.NoError(r.t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(r.t, err)
	return response.StatusCode, response.Header, string(body)
}

// code makes an API call and returns the code of its reply.
func (r *keyRig) code(name string, args ...string) float64 {
	r.t.Helper()
	code, _ := r.call(name, args...)["code"].(float64)
	return code
}

// streams returns the names of all streams.
func (r *keyRig) streams() map[string]bool {
	out := map[string]bool{}
	reply, err := r.try("getMediaList")
	if err != nil {
		return nil
	}
	list, _ := reply["data"].([]any)
	for _, item := range list {
		out[fmt.Sprint(item.(map[string]any)["stream"])] = true
	}
	return out
}

// add asks for a pull and returns the reply.
func (r *keyRig) add(name, source string, args ...string) map[string]any {
	r.t.Helper()
	return r.call("addStreamProxy", append([]string{"vhost", "__defaultVhost__", "app", "live", "stream", name, "url", source}, args...)...)
}

// rows returns the rows of all keys that a reload puts in force.
func rows() map[string]keyRow {
	out := map[string]keyRow{}
	for _, part := range []map[string]keyRow{apiRows(), httpRows(), poolRows(), hookRows(), rtspRows(), streamRows(), proxyRows(), rtpRows(), rtpWaitRows()} {
		maps.Copy(out, part)
	}
	return out
}

// A key that is registered has a row here, so that no key is ever said to be in force without somebody obeying it.
func TestEveryKeyHasARow(t *testing.T) {
	immediate, waiting := rows(), restartKeys(nil)
	for _, key := range config.Keys() {
		_, hot := immediate[key.Name]
		_, waits := waiting[key.Name]
		if key.Class.Immediate() {
			require.True(t, hot, "%s has no row that shows its owner observing a reload: add one to the table of its section", key.Name)
		} else {
			require.True(t, waits, "%s has no row in restartKeys", key.Name)
		}
		require.False(t, hot && waits, key.Name)
	}
	for _, table := range []map[string]bool{keysOf(immediate), keysOf(waiting)} {
		for name := range table {
			_, served := config.Lookup(name)
			require.True(t, served, "the row of %s has no key", name)
		}
	}
}

func keysOf[V any](m map[string]V) map[string]bool {
	out := map[string]bool{}
	for key := range m {
		out[key] = true
	}
	return out
}

// Every key that a reload puts in force is obeyed by its owner after the reload.
func TestEveryHotKeyIsObserved(t *testing.T) {
	for name, row := range rows() {
		t.Run(name, func(t *testing.T) {
			if row.prepare != nil {
				row.prepare(t, &row)
			}
			r := newRig(t, row.base, row.pairs)
			if row.before != nil {
				row.before(r)
			}
			next := row.next
			if next == nil {
				next = map[string]string{name: row.to}
			}
			verdict := r.reload(next)
			want := reload.Applied
			if key, _ := config.Lookup(name); key.Class == config.New {
				want = reload.AppliedNew
			}
			found := false
			for _, key := range verdict.Keys {
				if key.Key == name {
					found = true
					require.Equal(t, want, key.Outcome)
				}
			}
			require.True(t, found, "the row does not change its key")
			row.after(r)
		})
	}
}

// form is a POST body with more than so many bytes.
func form(secret string, bytes int) string {
	return url.Values{"secret": {secret}, "padding": {strings.Repeat("x", bytes)}}.Encode()
}
