package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"berth/actors/store"
	"berth/config"
)

// maxReplyBytes bounds what the client reads of one reply; the largest, a full port table, is a few megabytes.
const maxReplyBytes = 64 << 20

// Codes of the HTTP API that the client acts on.
const (
	codeAuthFailed  = -100
	codeInvalidArgs = -300
)

// client calls the HTTP API of a running server.
type client struct {
	base   string // without a slash at the end
	secret string
	where  string // how the secret was looked for, for the message when it is refused
	http   *http.Client
}

// apiError is a reply whose code is not 0.
type apiError struct {
	Code int
	Msg  string
}

func (e *apiError) Error() string {
	return fmt.Sprintf("the server answers: %s (code %d)", e.Msg, e.Code)
}

// clientFlags are the flags of every command that talks to a running server.
type clientFlags struct {
	url, secret string
	timeout     time.Duration
}

func (f *clientFlags) add(c *cobra.Command, timeout time.Duration) {
	c.Flags().StringVar(&f.url, "url", "", "the server, such as http://127.0.0.1:8080; also BERTH_URL (default: this machine, port from the configuration)")
	c.Flags().StringVar(&f.secret, "secret", "", "the API secret; better BERTH_SECRET, which other users do not see (default: from configuration or state.dir)")
	c.Flags().DurationVar(&f.timeout, "timeout", timeout, "how long to wait for the answer")
}

// client finds the server and its secret: flag, then environment, then the configuration that a server here would use.
func (p *program) client(f *clientFlags) (*client, error) {
	c := &client{base: first(f.url, p.getenv("BERTH_URL")), secret: first(f.secret, p.getenv("BERTH_SECRET")), http: &http.Client{}}
	c.where = "it was given by --secret or BERTH_SECRET"
	if c.base == "" || c.secret == "" {
		cfg := p.localConfig()
		if c.base == "" {
			base, err := localURL(cfg)
			if err != nil {
				return nil, err
			}
			c.base = base
		}
		if c.secret == "" {
			c.secret, c.where = localSecret(cfg)
		}
	}
	at, err := url.Parse(c.base)
	if err != nil || at.Host == "" || at.Scheme != "http" && at.Scheme != "https" {
		return nil, usageError(fmt.Errorf("server URL %q: want http://HOST:PORT or https://HOST:PORT", c.base))
	}
	c.base = strings.TrimSuffix(c.base, "/")
	return c, nil
}

// localConfig is the configuration to find the local server by. A file with errors must not keep `berth reload` from asking the server what it
// thinks of it, so what cannot be read falls back to defaults.
func (p *program) localConfig() *config.Config {
	cfg, _, err := p.load()
	if err == nil {
		return cfg
	}
	_, _ = fmt.Fprintln(p.errOut, "berth: the configuration has errors ('berth check' shows them); looking for the server at the default place, see --url")
	for _, set := range [][]string{p.set, nil} {
		if cfg, _, err = config.Load(config.Options{Env: p.env, Set: set, Root: p.superuser}); err == nil {
			return cfg
		}
	}
	return config.Default()
}

// localURL is where a server with that configuration listens for this machine.
func localURL(cfg *config.Config) (string, error) {
	host := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	if ip := cfg.General.ListenIP; ip.IsValid() && !ip.IsUnspecified() {
		host = ip
	}
	switch {
	case cfg.HTTP.Port != 0:
		return "http://" + netip.AddrPortFrom(host, cfg.HTTP.Port).String(), nil
	case cfg.HTTP.SSLPort != 0:
		return "https://" + netip.AddrPortFrom(host, cfg.HTTP.SSLPort).String(), nil
	}
	return "", errors.New("the configuration opens no HTTP listener: set http.port, or give --url")
}

// localSecret finds the secret of a server with that configuration, and says where it looked.
func localSecret(cfg *config.Config) (secret, where string) {
	if !cfg.API.NeedsSecret() {
		return cfg.API.Secret, "it is api.secret of the configuration"
	}
	secret, err := store.ReadSecret(cfg.State.Dir)
	if err != nil {
		return "", secretError(cfg.State.Dir, err).Error()
	}
	return secret, "it was read from state.dir " + cfg.State.Dir
}

// call posts arguments to an API method and decodes the reply into out, also when its code is not 0; that is returned as an *apiError.
func (c *client) call(ctx context.Context, method string, arguments url.Values, out any) error {
	form := url.Values{}
	for name, values := range arguments {
		form[name] = values
	}
	if c.secret != "" {
		form.Set("secret", c.secret)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+"/index/api/"+method, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := c.http.Do(request)
	if err != nil {
		return c.unreachable(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxReplyBytes))
	if err != nil {
		return fmt.Errorf("reading the reply of %s to %s: %w", c.base, method, err)
	}
	return c.decode(method, response, body, out)
}

func (c *client) decode(method string, response *http.Response, body []byte, out any) error {
	var head struct {
		Code *int   `json:"code"`
		Msg  string `json:"msg"`
	}
	if err := json.Unmarshal(body, &head); err != nil || head.Code == nil {
		return fmt.Errorf("%s does not answer %s like a berth server (%s): is --url right?", c.base, method, response.Status)
	}
	if *head.Code == codeAuthFailed {
		return fmt.Errorf("%s refuses the secret (%s): give it with --secret or BERTH_SECRET; 'berth secret' shows it to the server's user", c.base, c.where)
	}
	if response.StatusCode == http.StatusServiceUnavailable {
		after, err := strconv.Atoi(response.Header.Get("Retry-After"))
		if err != nil {
			after = 1
		}
		return fmt.Errorf("%s is not ready: %s; try again in %s", c.base, head.Msg, counted(after, "second"))
	}
	if err := json.Unmarshal(body, out); err != nil {
		return fmt.Errorf("%s answers %s in a form that this program does not know: %w", c.base, method, err)
	}
	if *head.Code != 0 {
		return &apiError{Code: *head.Code, Msg: head.Msg}
	}
	return nil
}

// unreachable says what to do about a request that got no reply.
func (c *client) unreachable(err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err // without the URL, which stands in our own text
	}
	var op *net.OpError
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s did not answer in time; it may still be at work, see its log (--timeout waits longer)", c.base)
	case errors.As(err, &op) && op.Op == "dial":
		return fmt.Errorf("no server at %s: %w (is it running? --url or BERTH_URL names another place)", c.base, op.Err)
	}
	return fmt.Errorf("no reply from %s: %w", c.base, err)
}

// first returns the first string that is not empty.
func first(choices ...string) string {
	for _, s := range choices {
		if s != "" {
			return s
		}
	}
	return ""
}
