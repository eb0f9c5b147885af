package hook

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
)

// maxReply bounds the body of a receiver's answer.
const maxReply = 1 << 20

// verdict is a receiver's answer in due form.
type verdict struct {
	code    int
	message string
	body    map[string]any
}

// post sends one try and reads the answer. It blocks until then, or until ctx ends.
func post(ctx context.Context, client *http.Client, to, agent string, body map[string]any) (verdict, error) {
	raw, err := json.MarshalIndent(body, "", "\t") // sorts the keys
	if err != nil {
		return verdict{}, fmt.Errorf("[bad body]:%w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(raw))
	if err != nil {
		return verdict{}, fmt.Errorf("[network err]:%w", withoutURL(err))
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", agent)
	if vhost, ok := body["vhost"].(string); ok && vhost != "" {
		req.Header.Set("X-VHOST", vhost)
	}
	resp, err := client.Do(req)
	if err != nil {
		return verdict{}, fmt.Errorf("[network err]:%w", withoutURL(err))
	}
	defer resp.Body.Close() //nolint:errcheck // only read
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxReply+1))
	switch {
	case resp.StatusCode != http.StatusOK:
		return verdict{}, fmt.Errorf("[bad http status code]:%d", resp.StatusCode)
	case err != nil:
		return verdict{}, fmt.Errorf("[network err]:%w", err)
	case len(answer) > maxReply:
		return verdict{}, fmt.Errorf("[parse json failed]:more than %d bytes", maxReply)
	}
	return judge(answer)
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

// withoutURL takes the URL out of a client's error: it may hold credentials, and the error is shown to viewers.
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
