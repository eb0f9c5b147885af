package hook

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"syscall"
)

// maxReply bounds the body of a receiver's answer.
const maxReply = 1 << 20

// maxRedirects bounds how often one try is sent on.
const maxRedirects = 10

// verdict is a receiver's answer in due form.
type verdict struct {
	code    int
	message string
	body    map[string]any
}

// post sends one try and reads the answer. It blocks until then, or until ctx ends. Redirects are followed here, with client told not to: the standard
// client turns a redirected POST into a GET without body, which a receiver might approve unseen, and tells the next host the URL by Referer, with its query.
func post(ctx context.Context, client *http.Client, to, agent string, body map[string]any) (verdict, error) {
	raw, err := json.MarshalIndent(body, "", "\t") // sorts the keys
	if err != nil {
		return verdict{}, fmt.Errorf("[bad body]:%w", err)
	}
	vhost, _ := body["vhost"].(string)
	for range 1 + maxRedirects {
		v, next, err := send(ctx, client, to, agent, vhost, raw)
		if err != nil || next == "" {
			return v, err
		}
		to = next
	}
	return verdict{}, &networkError{fmt.Errorf("more than %d redirects", maxRedirects)}
}

// send posts raw to one URL. It returns the answer, or where it is to be sent instead.
func send(ctx context.Context, client *http.Client, to, agent, vhost string, raw []byte) (v verdict, next string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(raw))
	if err != nil {
		return verdict{}, "", &networkError{withoutURL(err)}
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", agent)
	if vhost != "" {
		req.Header.Set("X-VHOST", vhost)
	}
	resp, err := client.Do(req)
	if err != nil {
		return verdict{}, "", &networkError{withoutURL(err)}
	}
	defer resp.Body.Close() //nolint:errcheck // only read
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxReply+1))
	switch {
	case resp.StatusCode != http.StatusOK:
		if next, ok := redirect(resp); ok {
			return verdict{}, next, nil
		}
		return verdict{}, "", fmt.Errorf("[bad http status code]:%d", resp.StatusCode)
	case err != nil:
		return verdict{}, "", &networkError{err}
	case len(answer) > maxReply:
		return verdict{}, "", fmt.Errorf("[parse json failed]:more than %d bytes", maxReply)
	}
	v, err = judge(answer)
	return v, "", err
}

// redirect returns where a response sends its request (RFC 9110, section 15.4). Unlike there the method stays POST for every status, as ZLMediaKit does it.
func redirect(resp *http.Response) (string, bool) {
	switch resp.StatusCode {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		to, err := resp.Location()
		if err != nil {
			return "", false
		}
		return to.String(), true
	}
	return "", false
}

// judge reads an answer: a JSON object with an integer code.
func judge(answer []byte) (verdict, error) {
	dec := json.NewDecoder(bytes.NewReader(answer))
	dec.UseNumber()
	var body map[string]any
	if err := dec.Decode(&body); err != nil {
		return verdict{}, fmt.Errorf("[parse json failed]:%w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return verdict{}, errors.New("[parse json failed]:more than one value")
	}
	number, ok := body["code"].(json.Number)
	code, err := strconv.Atoi(number.String())
	if !ok || err != nil {
		return verdict{}, fmt.Errorf("[json code]:code not int:%.200s", answer)
	}
	v := verdict{code: code, body: body}
	if code != 0 {
		msg, _ := body["msg"].(string)
		v.message = fmt.Sprintf("[auth failed]: code:%d msg:%q", code, msg)
	}
	return v, nil
}

// networkError is a request that did not come back. Its text is the operator's: it may name addresses.
type networkError struct{ err error }

func (e *networkError) Error() string { return "[network err]:" + e.err.Error() }

func (e *networkError) Unwrap() error { return e.err }

// forViewers is the text of a failure for whoever the hook decides about, a stranger to whom the receiver's name and address are no business.
func forViewers(err error) string {
	var network *networkError
	if !errors.As(err, &network) {
		return err.Error()
	}
	var (
		timeout net.Error
		name    *net.DNSError
		errno   syscall.Errno
	)
	switch {
	case errors.As(err, &timeout) && timeout.Timeout():
		return "[network err]:timeout"
	case errors.As(err, &name):
		return "[network err]:host not found"
	case errors.As(err, &errno):
		return "[network err]:" + errno.Error()
	}
	return "[network err]:connection failed"
}

// withoutURL takes the URL out of a client's error: it may hold credentials, and the error is logged.
func withoutURL(err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		return wrapped.Err
	}
	return err
}

// shownURL is a receiver's URL as it may stand in a log.
func shownURL(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "(malformed URL)"
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	return u.String()
}
