package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"berth/actors/store"
	"berth/config"
)

// ok is a reply that says nothing but done.
var ok = map[string]any{"code": 0, "data": map[string]any{}}

func TestClientSendsTheSecretInTheBody(t *testing.T) {
	env, dir := home(t)
	made, err := store.Secret(dir)
	require.NoError(t, err)
	url, asked := fakeServer(t, http.StatusOK, map[string]any{"reloadConfig": ok})
	for _, c := range []struct {
		name string
		env  []string
		args []string
		want string
	}{
		{"from state.dir", nil, nil, made},
		{"from the configuration", nil, []string{"--set", "api.secret=of-the-configuration"}, "of-the-configuration"},
		{"from the environment", []string{"BERTH_SECRET=of-env"}, nil, "of-env"},
		{"from the flag", []string{"BERTH_SECRET=of-env"}, []string{"--secret", "of-flag"}, "of-flag"},
	} {
		t.Run(c.name, func(t *testing.T) {
			*asked = nil
			got := command(t, append(append([]string{"BERTH_URL=" + url + "/"}, env...), c.env...), append([]string{"reload"}, c.args...)...)
			require.Equal(t, exitDone, got.code, got.errOut)
			require.Len(t, *asked, 1)
			request := (*asked)[0]
			require.Equal(t, http.MethodPost, request.Method)
			require.Equal(t, c.want, request.PostForm.Get("secret"))
			require.Empty(t, request.URL.RawQuery)
		})
	}
}

func TestClientSaysWhatIsWrong(t *testing.T) {
	env, dir := home(t)
	for _, c := range []struct {
		name   string
		status int
		reply  any
		want   []string
	}{
		{"secret refused", http.StatusOK, map[string]any{"code": -100, "msg": "Please login first"}, []string{"refuses the secret", dir, "BERTH_SECRET", "berth secret"}},
		{"restarting", http.StatusServiceUnavailable, map[string]any{"code": -1, "msg": "full restart under way"}, []string{"full restart under way", "2 seconds"}},
		{"something else listens", http.StatusOK, "<html>hello</html>", []string{"does not answer reloadConfig like a berth server", "--url"}},
		{"another kind of reply", http.StatusOK, map[string]any{"code": 0, "data": "text"}, []string{"a form that this program does not know"}},
		{"refused", http.StatusOK, map[string]any{"code": -400, "msg": "berth.toml:3: rtsp.port: is wrong"}, []string{"rejected, nothing was changed", "berth.toml:3: rtsp.port: is wrong"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			url, _ := fakeServer(t, c.status, map[string]any{"reloadConfig": c.reply})
			got := command(t, env, "reload", "--url", url)
			require.Equal(t, exitFailed, got.code)
			require.Empty(t, got.out)
			for _, want := range c.want {
				require.Contains(t, got.errOut, want)
			}
		})
	}
}

func TestClientSaysThatNobodyListens(t *testing.T) {
	env, _ := home(t)
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	got := command(t, env, "ports", "--url", server.URL)
	require.Equal(t, exitFailed, got.code)
	require.Contains(t, got.errOut, "no server at "+server.URL)
	require.Contains(t, got.errOut, "BERTH_URL")
}

func TestClientGivesUpInTime(t *testing.T) {
	env, _ := home(t)
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer server.Close()
	defer close(release)
	got := command(t, env, "restart", "--url", server.URL, "--timeout", "20ms")
	require.Equal(t, exitFailed, got.code)
	require.Contains(t, got.errOut, "did not answer in time")
}

func TestClientFindsTheLocalServer(t *testing.T) {
	for _, c := range []struct{ set, want string }{
		{"", "http://127.0.0.1:8080"},
		{"http.port=18080", "http://127.0.0.1:18080"},
		{"general.listen_ip=192.0.2.7", "http://192.0.2.7:8080"},
		{"general.listen_ip=::1", "http://[::1]:8080"},
		{"http.port=0", ""},
	} {
		t.Run(c.set, func(t *testing.T) {
			options := config.Options{Env: []string{"HOME=/nowhere"}}
			if c.set != "" {
				options.Set = []string{c.set}
			}
			cfg, _, err := config.Load(options)
			require.NoError(t, err)
			got, err := localURL(cfg)
			require.Equal(t, c.want, got)
			require.Equal(t, c.want == "", err != nil)
		})
	}
}

// A file with errors must not keep `berth reload` from asking the server about it.
func TestClientWorksBesideABrokenFile(t *testing.T) {
	env, dir := home(t)
	made, err := store.Secret(dir)
	require.NoError(t, err)
	url, asked := fakeServer(t, http.StatusOK, map[string]any{"reloadConfig": ok})
	got := command(t, env, "reload", "-c", "/nowhere/berth.toml", "--url", url)
	require.Equal(t, exitDone, got.code, got.errOut)
	require.Contains(t, got.errOut, "the configuration has errors")
	require.Equal(t, 1, strings.Count(got.errOut, "\n"))
	require.Equal(t, made, (*asked)[0].PostForm.Get("secret"))
}
